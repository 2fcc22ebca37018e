"""fiqa-eval prepare: every kind of data set in one layout, cut runs, colours, and what is missing or damaged."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_evaluation.data_set.set_folder import open_set
from fiqa_evaluation.sources import preparing
from fiqa_runtime.images.align import STANDARD
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.system.files import write_bytes

from tests.help.commands import Invoke
from tests.help.evaluation.data_sets import (
    bin_content,
    face,
    jpeg,
    lfw_list,
    rows_of,
    write_bin,
    write_ijbc,
    write_tree,
)


def manifest(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "manifest.json").read_text("utf-8")))


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_bin_keeps_its_pictures_and_pairs(evaluate: Invoke, tmp_path: Path, protocol: int) -> None:
    images, flags = bin_content()
    source = write_bin(tmp_path / "lfw.bin", (images, flags), protocol)
    result = evaluate("prepare", source, "--out", tmp_path / "data")
    assert result.code == 0, result.err
    folder = tmp_path / "data/lfw"
    expected = [[f"{2 * k:05d}", f"{2 * k + 1:05d}", str(int(flag))] for k, flag in enumerate(flags)]
    assert rows_of(folder / "pair_list.txt") == expected
    paths = [f"lfw/images/{place:05d}.jpg" for place in range(len(images))]
    assert (folder / "image_path_list.txt").read_text().splitlines() == paths
    assert [(folder.parent / path).read_bytes() for path in paths] == images
    found = manifest(folder)
    digests = {f"{k:05d}": hashlib.sha256(image).hexdigest() for k, image in enumerate(images)}
    assert found["images"] == digests and found["colour"] == "ordinary"
    assert found["counts"] == {"images": len(images), "genuine": 16, "impostor": 16, "templates": 0}
    assert f"{len(images)} images, 16 genuine and 16 impostor pairs" in result.err


def test_numpy_flags_of_any_version_are_read(evaluate: Invoke, tmp_path: Path) -> None:
    images, flags = bin_content(4, 2)
    source = write_bin(tmp_path / "a.bin", (images, [np.bool_(flag) for flag in flags]), 2)
    assert evaluate("prepare", source, "--out", tmp_path).code == 0
    old = source.read_bytes().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "b.bin").write_bytes(old)
    assert evaluate("prepare", tmp_path / "b.bin", "--out", tmp_path).code == 0
    assert rows_of(tmp_path / "a/pair_list.txt") == rows_of(tmp_path / "b/pair_list.txt")


def test_persons_of_a_bin_are_those_whom_pairs_and_equal_bytes_connect(evaluate: Invoke, tmp_path: Path) -> None:
    images, flags = bin_content(8, 3)
    evaluate("prepare", write_bin(tmp_path / "lfw.bin", (images, flags)), "--out", tmp_path)
    person = dict(rows_of(tmp_path / "lfw/persons.txt"))
    truth = {jpeg(face(p, i)): p for p in range(8) for i in range(3)}
    who = [truth[image] for image in images]
    names = [f"{place:05d}" for place in range(len(images))]
    for a, one in zip(names, who, strict=True):
        for b, other in zip(names, who, strict=True):
            assert (person[a] == person[b]) == (one == other)


def test_colours_as_published_are_exchanged_and_read_back(evaluate: Invoke, tmp_path: Path) -> None:
    images, flags = bin_content(4, 2)
    source = write_bin(tmp_path / "lfw.bin", (images, flags))
    assert evaluate("prepare", source, "--out", tmp_path, "--colour-as-published").code == 0
    data = open_set(tmp_path / "lfw")
    assert data.exchanged and data.manifest["colour"] == "exchanged"
    ordinary = np.asarray(cv2.imdecode(np.frombuffer(images[0], np.uint8), cv2.IMREAD_COLOR))
    on_disk = read_image(data.file("00000"))
    again = cv2.imdecode(np.frombuffer(jpeg(ordinary[:, :, ::-1].copy()), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(on_disk, again)
    np.testing.assert_array_equal(data.read("00000"), on_disk[:, :, ::-1])
    assert np.abs(data.read("00000").astype(int) - ordinary).mean() < 6
    assert np.abs(on_disk.astype(int) - ordinary).mean() > 12, "the colours of the sample tell the two apart"


def test_other_sizes_have_a_shorter_side_of_112(evaluate: Invoke, tmp_path: Path) -> None:
    images = [jpeg(cv2.resize(face(k // 2, k % 2), (150, 225))) for k in range(4)] + bin_content(4, 2)[0][:4]
    source = write_bin(tmp_path / "wide.bin", (images, [True, True, True, False]))
    assert evaluate("prepare", source, "--out", tmp_path).code == 0
    sizes = [read_image(tmp_path / f"wide/images/{k:05d}.jpg").shape[:2] for k in range(8)]
    assert sizes == [(168, 112)] * 4 + [(112, 112)] * 4


def test_xqlfw(evaluate: Invoke, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "xqlfw/xqlfw_aligned_112")
    (tmp_path / "xqlfw/xqlfw_pairs.txt").write_text(lfw_list())
    assert evaluate("prepare", tmp_path / "xqlfw", "--out", tmp_path / "data").code == 0
    folder = tmp_path / "data/xqlfw"
    rows = rows_of(folder / "pair_list.txt")
    assert len(rows) == 24 and ["person_0_0001", "person_0_0002", "1"] in rows
    assert ["person_0_0002", "person_2_0002", "0"] in rows
    source = tree / "person_3/person_3_0002.jpg"
    assert (folder / "images/person_3_0002.jpg").read_bytes() == source.read_bytes()
    assert ["person_3_0002", "person_3"] in rows_of(folder / "persons.txt")


def test_a_list_that_names_more_than_the_folder_holds(evaluate: Invoke, tmp_path: Path) -> None:
    """What the list names and the folder lacks is counted and listed, its pairs fall away, the others go on."""
    write_tree(tmp_path / "xqlfw/xqlfw_aligned_112", persons=5)
    (tmp_path / "xqlfw/xqlfw_pairs.txt").write_text(lfw_list(6))
    result = evaluate("prepare", tmp_path / "xqlfw", "--out", tmp_path / "data")
    parts = ("3 listed images are missing and 0 were refused, as person_5_0003", "6 pairs were left out")
    assert result.ends_in(*parts), result.err
    assert len(rows_of(tmp_path / "data/xqlfw/pair_list.txt")) == 24 - 6
    assert manifest(tmp_path / "data/xqlfw")["missing"]["count"] == 3


def test_folders_of_persons_are_compared_all_with_all(evaluate: Invoke, tmp_path: Path) -> None:
    write_tree(tmp_path / "mine", persons=4, per_person=3, suffix=".png")
    assert evaluate("prepare", tmp_path / "mine", "--out", tmp_path / "data").code == 0
    folder = tmp_path / "data/mine"
    rows = rows_of(folder / "pair_list.txt")
    assert len(rows) == 12 * 11 // 2 and len({frozenset(row[:2]) for row in rows}) == len(rows)
    assert all((a.split("/")[0] == b.split("/")[0]) == (same == "1") for a, b, same in rows)
    written = read_image(folder / "images/person_1/person_1_0002.jpg").astype(int)
    assert np.abs(written - face(1, 1)).max() <= 8, "the highest quality and full colours"


def test_a_share_of_the_impostor_pairs_is_drawn_with_a_seed(evaluate: Invoke, tmp_path: Path) -> None:
    write_tree(tmp_path / "mine", persons=8, per_person=2)

    def rows(out: str, *options: object) -> list[list[str]]:
        result = evaluate("prepare", tmp_path / "mine", "--out", tmp_path / out, *options)
        assert result.code == 0, result.err
        return list(rows_of(tmp_path / out / "mine/pair_list.txt"))

    whole = rows("whole")
    for share in (0.1, 0.5):
        drawn = rows(f"a{share}", "--impostor-share", share, "--seed", 1)
        assert drawn == rows(f"b{share}", "--impostor-share", share, "--seed", 1)
        assert drawn != rows(f"c{share}", "--impostor-share", share, "--seed", 2)
        genuine = [row for row in drawn if row[2] == "1"]
        assert genuine == [row for row in whole if row[2] == "1"]
        impostor = [tuple(row) for row in drawn if row[2] == "0"]
        everyone = {tuple(row) for row in whole if row[2] == "0"}
        assert len(set(impostor)) == len(impostor) == round(share * len(everyone))
        assert set(impostor) <= everyone


def test_a_csv_lists_what_is_missing_and_goes_on(evaluate: Invoke, tmp_path: Path) -> None:
    write_tree(tmp_path / "pictures", persons=3, per_person=2)
    files = sorted((tmp_path / "pictures").rglob("*.jpg"))
    lines = [f"{file.relative_to(tmp_path)},{file.parent.name}" for file in files]
    (tmp_path / "people.csv").write_text("\n".join(["image,person", *lines, "gone.jpg,person_0", "lost.jpg,person_1"]))
    result = evaluate("prepare", tmp_path / "people.csv", "--out", tmp_path / "data")
    assert result.ends_in("2 listed images are missing and 0 were refused, as gone.jpg", "manifest.json lists them")
    found = manifest(tmp_path / "data/people")
    assert found["missing"] == {"count": 2, "images": ["gone.jpg", "lost.jpg"]}
    assert found["counts"]["images"] == 6 and found["counts"]["genuine"] == 3


def test_ijbc_is_aligned_and_keeps_its_templates(evaluate: Invoke, tmp_path: Path) -> None:
    made = write_ijbc(tmp_path / "IJBC")
    result = evaluate("prepare", tmp_path / "IJBC", "--out", tmp_path / "data", "--name", "ijbc")
    assert result.code == 0, result.err
    folder = tmp_path / "data/ijbc"
    assert rows_of(folder / "pair_list.txt") == [[str(a), str(b), str(k)] for a, b, k in made.pairs]
    assert [tuple(row[:2]) for row in rows_of(folder / "templates.txt")] == [(str(i), str(t)) for i, t, _ in made.lines]
    assert "12 templates of 36 images, 6 genuine and 60 impostor pairs" in result.err
    crop, loose = read_image(folder / "images/5.jpg"), read_image(tmp_path / "IJBC/loose_crop/5.jpg")
    assert np.abs(crop.astype(int) - loose[40:152, 30:142]).mean() < 2, "points at the template: no turn, no scale"


def test_ijbc_without_some_crops(evaluate: Invoke, tmp_path: Path) -> None:
    made = write_ijbc(tmp_path / "IJBC")
    for image, template, _ in made.lines:
        if template == 3 or image == 1:
            (tmp_path / f"IJBC/loose_crop/{image}.jpg").unlink()
    result = evaluate("prepare", tmp_path / "IJBC", "--out", tmp_path / "data")
    assert result.ends_in("4 listed images are missing", "11 pairs were left out")
    rows = rows_of(tmp_path / "data/IJBC/pair_list.txt")
    assert len(rows) == 66 - 11 and not any("3" in row[:2] for row in rows)
    assert len(rows_of(tmp_path / "data/IJBC/templates.txt")) == 36 - 4


def test_photos_are_cut_at_the_face_nearest_to_the_centre(
    evaluate: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fiqa_runtime.faces.detection import Detection

    class TwoFaces:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def detect(self, image: np.ndarray) -> list[Detection]:
            if image[0, 0].sum() == 0:
                return []
            places = [STANDARD + shift for shift in ((0, 0), (90, 90))]
            return [Detection(np.zeros(4, np.float32), place.astype(np.float32), 1.0) for place in places]

    monkeypatch.setattr("fiqa_evaluation.sources.photo_crops.Detector", TwoFaces)
    for person in range(3):
        (tmp_path / f"photos/{person}").mkdir(parents=True)
        for index in range(2):
            photo = np.full((300, 300, 3), 9, np.uint8)
            photo[90:202, 90:202] = face(person, index)
            cv2.imwrite(str(tmp_path / f"photos/{person}/{index}.png"), photo)
    cv2.imwrite(str(tmp_path / "photos/0/empty.png"), np.zeros((300, 300, 3), np.uint8))
    result = evaluate("prepare", tmp_path / "photos", "--out", tmp_path, "--name", "cut", "--detector", "yunet")
    assert result.ends_in("0 listed images are missing and 1 were refused", "6 pairs were left out")
    assert "no face was found" in manifest(tmp_path / "cut")["refused"]["images"]["0/empty"]
    crop = read_image(tmp_path / "cut/images/2/1.jpg").astype(int)
    assert np.abs(crop - face(2, 1)).mean() < 2


def test_a_cut_run_goes_on_and_a_whole_one_is_left(
    evaluate: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, flags = bin_content()
    source = write_bin(tmp_path / "lfw.bin", (images, flags))
    written: list[str] = []
    whole = write_bytes

    def write(path: Path, data: bytes) -> None:
        if len(written) == 20:
            raise KeyboardInterrupt
        written.append(path.name)
        whole(path, data)

    with monkeypatch.context() as patch:
        patch.setattr(preparing, "write_bytes", write)
        assert evaluate("prepare", source, "--out", tmp_path).code == 130
    assert (tmp_path / "lfw/prepared.jsonl").is_file() and not (tmp_path / "lfw/manifest.json").exists()
    again: list[str] = []

    def count(path: Path, data: bytes) -> None:
        again.append(path.name)
        whole(path, data)

    monkeypatch.setattr(preparing, "write_bytes", count)
    assert evaluate("prepare", source, "--out", tmp_path).code == 0
    assert len(images) - 20 <= len(again) < len(images), "what was written before is not written again"
    assert not (tmp_path / "lfw/prepared.jsonl").exists()
    again.clear()
    assert evaluate("prepare", source, "--out", tmp_path).code == 0 and not again
    refused = evaluate("prepare", source, "--out", tmp_path, "--colour-as-published")
    assert refused.is_one_line("holds another data set, or this one otherwise prepared")


def test_a_damaged_image_is_left_out_with_its_pair(evaluate: Invoke, tmp_path: Path) -> None:
    images, flags = bin_content()
    images[5] = images[5][:300]
    images[8] = b"no picture"
    result = evaluate("prepare", write_bin(tmp_path / "lfw.bin", (images, flags)), "--out", tmp_path)
    assert result.ends_in("0 listed images are missing and 2 were refused", "2 pairs were left out")
    found = manifest(tmp_path / "lfw")
    assert set(found["refused"]["images"]) == {"00005", "00008"}
    assert len(rows_of(tmp_path / "lfw/pair_list.txt")) == len(flags) - 2

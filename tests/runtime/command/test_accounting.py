"""Every image of a run is scored, without a face, or refused; every file in a folder is an image or passed over."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_runtime.command.accounting import reason_of
from fiqa_runtime.command.overlay_files import picture_places
from fiqa_runtime.diagnosis.reference import read_reference
from fiqa_runtime.images.reading import SUFFIXES, read_image, search_images
from fiqa_runtime.images.seeded import seeded_image

from tests.help.commands import Invoke

CROP = seeded_image(0, 112, 112)
DAMAGED = 20
PASSED_OVER = {
    "b.gif": ".gif files",
    "c.HEIC": ".heic files",
    "notes.txt": ".txt files",
    "README": "files without a suffix",
    "gone.png": "links that lead nowhere, or no files",
    "linked": "linked folders",
    "more/d.svg": ".svg files",
}


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    """Two good crops, twenty damaged files and one of each kind that is passed over."""
    folder, elsewhere = tmp_path / "set", tmp_path / "elsewhere"
    (folder / "more").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    elsewhere.mkdir()
    for name in ("a.png", "more/z.bmp", ".hidden/x.png", "../elsewhere/y.png"):
        cv2.imwrite(str(folder / name), CROP)
    for number in range(DAMAGED):
        (folder / f"damaged{number:02}.png").write_bytes(b"no picture")
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "linked").symlink_to(elsewhere)
    for name in PASSED_OVER:
        if not os.path.lexists(folder / name):
            (folder / name).touch()
    return folder


def test_a_search_names_what_it_passes_over(folder: Path) -> None:
    found = search_images([folder])
    assert {path.relative_to(folder).as_posix(): why for path, why in found.passed_over.items()} == PASSED_OVER
    assert len(found.images) == DAMAGED + 2


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPE", ".jp2", ".avif"])
def test_rarer_names_of_pictures_are_read_where_opencv_reads_them(tmp_path: Path, suffix: str) -> None:
    kind = ".jpg" if suffix.lower() in (".jfif", ".jpe") else suffix
    path = tmp_path / f"a{suffix}"
    if not cv2.haveImageWriter(f"a{kind}"):
        path.touch()
        (tmp_path / "b.png").touch()
        assert search_images([tmp_path]).passed_over == {path: f"{suffix} files, which this OpenCV does not read"}
        return
    path.write_bytes(cv2.imencode(kind, CROP)[1].tobytes())
    assert search_images([tmp_path]).images == [path]
    assert read_image(path).shape == CROP.shape


def test_a_folder_that_may_not_be_looked_into_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.png").touch()
    real = os.scandir

    def scandir(path: Any) -> object:
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        found = search_images([tmp_path])
    assert found.passed_over == {tmp_path / "closed": "folders that cannot be searched: Permission denied"}


def test_every_file_is_accounted_for(score: Invoke, seeded_engine: Path, folder: Path, tmp_path: Path) -> None:
    result = score(folder, "--aligned", "--engine", seeded_engine, "--csv", tmp_path / "s.csv", "--json", "-")
    assert result.code == 2
    document = json.loads(result.out)
    account = document["accounting"]
    assert account["given"] == account["scored"] + account["without_face"] + account["refused"] == DAMAGED + 2
    assert (account["scored"], account["refused"]) == (2, DAMAGED)
    assert sum("error" in image for image in document["images"]) == DAMAGED
    assert {Path(entry["path"]).name for entry in account["passed_over"]} == {Path(name).name for name in PASSED_OVER}
    rows = list(csv.DictReader((tmp_path / "s.csv").open()))
    assert Counter(row["outcome"] for row in rows) == {"scored": 2, "refused": DAMAGED, "passed over": len(PASSED_OVER)}
    assert all(row["reason"] for row in rows if row["outcome"] != "scored")
    lines = result.err.splitlines()
    assert lines[0] == "22 images: 2 scored, 0 without a face, 20 refused (20 is damaged, cut short or not an image)"
    assert lines[1].startswith(f"passed over in folders: {len(PASSED_OVER)} (1 ")
    assert lines[2] == f"wrote {DAMAGED + 2 + len(PASSED_OVER)} rows to {tmp_path / 's.csv'}"
    assert lines[-1].startswith("error:")


def test_the_table_names_what_is_refused(score: Invoke, seeded_engine: Path, folder: Path) -> None:
    lines = score(folder, "--aligned", "--engine", seeded_engine).out.splitlines()
    head, *rows, last = lines
    assert head.split() == ["image", "quality"] and len(rows) == DAMAGED + 2
    assert sum("  refused: " in row for row in rows) == DAMAGED
    assert last.startswith("2 crops, worst ")


def test_a_photo_without_a_face_has_a_row(
    score: Invoke, seeded_engine: Path, images_dir: Path, weights_dir: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200, 3), 110, np.uint8))
    shutil.copy(images_dir / "skimage/astronaut.png", tmp_path / "astronaut.png")
    names = ("astronaut.png", "grey.png")
    shown = score(*(tmp_path / name for name in names), "--engine", seeded_engine, "--csv", "-")
    assert shown.code == 0, shown.err
    rows = list(csv.DictReader(io.StringIO(shown.out)))
    assert [row["outcome"] for row in rows] == ["scored", "no face"]
    assert rows[1]["quality"] == rows[1]["face"] == ""
    assert shown.err.strip() == "2 images: 1 scored, 1 without a face, 0 refused"


@pytest.mark.parametrize(
    ("names", "pictures"),
    [
        (("a.jpg", "a.jpg.png"), 2),
        (("a.jpg.png", "a.jpg"), 2),
        (("a.jpg", "a.jpg.png", "a.jpg.png.png"), 3),
        (("a.png", "a.jpg", "a.bmp"), 3),
    ],
)
def test_each_image_has_a_picture_of_its_own(
    score: Invoke, seeded_engine: Path, tmp_path: Path, names: tuple[str, ...], pictures: int
) -> None:
    for name in names:
        cv2.imwrite(str(tmp_path / name), CROP)
    shown = score(
        *(tmp_path / name for name in names), "--aligned", "--engine", seeded_engine, "--overlay", tmp_path / "o"
    )
    assert shown.code == 0, shown.err
    assert len(list((tmp_path / "o").iterdir())) == pictures
    assert f"wrote {pictures} pictures to {tmp_path / 'o'}" in shown.err


@pytest.mark.parametrize("names", [("x.png", "x.png.face0.png"), ("x.png.face0.png", "x.png")])
def test_pictures_of_faces_do_not_meet_those_of_others(tmp_path: Path, names: tuple[str, str]) -> None:
    places = picture_places([tmp_path / name for name in names], tmp_path / "o")
    wholes = {str(place) for place in places.values()}
    faces = {f"{place}.face0.png" for place in places.values()}
    assert len(wholes | faces) == 4


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ((112, 112), ""),
        ((250, 250), ""),
        ((140, 112), ""),
        ((900, 1200), "1200 x 900 pixels are squeezed to 112 x 112; if it is a whole photo, leave --aligned out"),
        ((1000, 1000), "1000 x 1000 pixels are squeezed"),
        ((112, 300), "300 x 112 pixels are squeezed"),
    ],
)
def test_what_is_hardly_a_crop_is_said(
    score: Invoke, seeded_engine: Path, tmp_path: Path, size: tuple[int, int], says: str
) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), seeded_image(0, *size))
    shown = score(tmp_path / "a.png", "--aligned", "--engine", seeded_engine, "--json", "-")
    (image,) = json.loads(shown.out)["images"]
    assert shown.code == 0
    assert bool(image.get("warnings")) == ("warning: 1 of 1 are doubtful" in shown.err) == bool(says)
    assert not says or (says in image["warnings"][0] and says in shown.err)


def test_our_own_csv_with_refused_files_is_a_reference(
    score: Invoke, seeded_engine: Path, folder: Path, tmp_path: Path
) -> None:
    score(folder, "--aligned", "--engine", seeded_engine, "--csv", tmp_path / "s.csv")
    found = read_reference(tmp_path / "s.csv")
    assert [Path(name).name for name in found] == ["a.png", "z.bmp"]


def test_reasons_are_those_of_a_kind() -> None:
    path = Path("a b/7.png")
    texts = ("a b/7.png is cut short: no end; copy it", "a b/7.png has 20 x 30 pixels, more than 1,000; cut it")
    assert [reason_of(text, path) for text in texts] == ["is cut short", "has N x N pixels, more than N"]


def test_every_suffix_is_lower_case() -> None:
    assert all(suffix == suffix.lower() for suffix in SUFFIXES)

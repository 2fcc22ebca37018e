"""One rule for names of images: labels, references and quality files find the same image by the same name."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import fiqa_evaluation.cli
import numpy as np
import pytest
from fiqa_evaluation.data_set.files import read_quality
from fiqa_evaluation.opinions.labels import match_labels
from fiqa_runtime.diagnosis.reference import match_reference, read_reference
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.reading import find_images
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.system.names import ImageNames

from tests.help.commands import Invoke, invoker

IMAGES = ("set/p1/0001.jpg", "set/p1/0002.jpg", "set/p2/0001.jpg", "set/c.v2.jpg", "set/e\u0301.jpg")
NAMES = {
    "set/p1/0001.jpg": 0,
    "set\\p1\\0001.jpg": 0,
    "C:\\faces\\set\\p1\\0001.jpg": 0,
    "./set/p1/0001.jpg": 0,
    "p1/0001": 0,
    "/somewhere/else/p2/0001.png": 2,
    "../p2/0001.jpg": 2,
    "0002": 1,
    "c.v2": 3,
    "c.v2.jpg": 3,
    "\u00e9.jpg": 4,
    "p3/0001.jpg": None,
    "0003.jpg": None,
    "": None,
    "..": None,
}


@pytest.mark.parametrize("name", NAMES)
def test_one_rule(name: str) -> None:
    assert ImageNames(IMAGES).find(name) == NAMES[name]


@pytest.mark.parametrize("name", [name for name in NAMES if NAMES[name] is not None])
def test_every_reader_obeys_it(name: str, tmp_path: Path) -> None:
    images = [tmp_path / image for image in IMAGES]
    expected = NAMES[name]
    assert expected is not None
    assert dict(match_reference({name: 1.0}, images).scores) == {images[expected]: 1.0}
    if not name.startswith("/somewhere"):  # labels are told apart by their folders below that of the images
        assert match_labels({name: 1.0}, images, tmp_path).paths == (images[expected],)
    (tmp_path / "M.txt").write_text("".join(f"{image} {i}\n" for i, image in enumerate(IMAGES)), encoding="utf-8")
    assert read_quality(tmp_path / "M.txt", [name]).tolist() == [expected]


@pytest.mark.parametrize("name", ["0001.jpg", "0001", "x/y/0001.jpg"])
def test_names_that_several_images_fit_are_refused(name: str) -> None:
    images = ImageNames(["one/0001.jpg", "two/0001.jpg"])
    if "/" in name:
        assert images.find(name) is None
    else:
        with pytest.raises(
            InputError, match=f"2 images fit the name '{name}', as one/0001.jpg and two/0001.jpg; write"
        ):
            images.find(name)


def test_the_whole_path_and_the_suffix_decide() -> None:
    assert ImageNames(["a.png", "x/a.png"]).find("a.png") == 0
    assert ImageNames(["a.png", "a.jpg"]).find("q/a.jpg") == 1
    assert ImageNames(["a.png.jpg", "a.png"]).find("a.png") == 1
    assert ImageNames([]).find("a") is None


def test_many_images_of_one_name_are_found_in_no_time() -> None:
    images = [f"set/{person}/0001.jpg" for person in range(20_000)]
    names = ImageNames(images)
    assert [names.find(f"{person}/0001") for person in range(20_000)] == list(range(20_000))


@pytest.mark.parametrize("suffix", [".txt", ".csv"])
def test_our_own_quality_file_fits_our_own_commands(
    score: Invoke,
    seeded_engine: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
) -> None:
    evaluate = invoker(fiqa_evaluation.cli.main, capsys, monkeypatch)
    monkeypatch.chdir(tmp_path)
    for folder in ("crops", "vectors"):
        Path(folder).mkdir()
    for index in range(6):
        cv2.imwrite(f"crops/{index}.png", seeded_image(index, 112, 112))
        np.save(f"vectors/{index}.npy", np.random.default_rng(index % 3).random(8))
    Path("pair_list.txt").write_text("0 3 1\n1 4 1\n0 1 0\n2 4 0\n2 5 1\n3 5 0\n")
    made = score("crops", "--aligned", "--engine", seeded_engine, "--quality-file", f"q{suffix}")
    assert made.code == 0, made.err
    shown = evaluate(*("discard", "pair_list.txt", "--embeddings", "vectors", "--scores", f"q{suffix}", "--json", "-"))
    assert shown.code == 0, shown.err
    assert json.loads(shown.out)["comparisons"]["images"] == 6
    reference = read_reference(Path(f"q{suffix}"))
    assert len(match_reference(reference, find_images(["crops"])).scores) == 6

"""Scores from elsewhere: every spelling of the file gives the same scores, names find their images."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from fiqa_runtime.diagnosis.reference import match_reference, read_reference
from fiqa_runtime.errors import InputError

FILES = {
    "plain.csv": "image,score\na.png,0.25\nb.png,-1e-3\n",
    "headless.csv": "a.png,0.25\nb.png,-1e-3\n",
    "bom.csv": "\ufeffImage, Score\na.png,0.25\nb.png,-1e-3\n",
    "quality.csv": "path,quality\na.png,0.25\nb.png,-0.001\n",
    "turned.csv": "score,image,note\n0.25,a.png,x\n-0.001,b.png,y\n",
    "faces.csv": (
        "path,face,quality,confidence,x,y,width,height\n"
        "a.png,0,0.9,0.99,0,0,10,10\na.png,1,0.25,0.9,0,0,20,20\na.png,2,0.8,0.9,0,0,5,5\nb.png,0,-0.001,0.9,0,0,1,1\n"
    ),
    "crops.csv": "path,face,quality,confidence,x,y,width,height\na.png,,0.25,,,,,\nb.png,,-0.001,,,,,\n",
    "cr-fiqa.txt": "a.png 0.5\nb.png -0.001\n\na.png 0.25\n",
}


@pytest.mark.parametrize("name", FILES)
def test_every_spelling_gives_the_same_scores(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    assert read_reference(tmp_path / name) == {"a.png": 0.25, "b.png": -0.001}


WRONG = {
    "no columns.csv": ("picture,value\na.png,1\n", "has the columns picture, value; name them image and score"),
    "three.csv": ("a.png,1,2\n", "has the columns"),
    "words.csv": ("image,score\na.png,good\n", "gives a.png the score 'good'"),
    "short.csv": ("image,score\na.png\n", "has a line with 1 fields"),
    "empty.csv": ("", "holds no scores"),
    "header.csv": ("image,score\n", "holds no scores"),
    "one field.txt": ("a.png\n", "line 1 of .* is not 'path score'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_files_are_refused(tmp_path: Path, name: str) -> None:
    text, says = WRONG[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=says):
        read_reference(tmp_path / name)


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_bytes(b"PAR1\xff\xfe\x80")
    with pytest.raises(InputError, match="is not text"):
        read_reference(tmp_path / "s.csv")


def test_names_find_the_image_that_shares_most_of_the_path() -> None:
    images = [Path(name) for name in ("x/one/0001.png", "x/two/0001.png", "x/three.png", "x/v1.2.png", "x/alone.png")]
    names = {"/else/one/0001.jpg": 1.0, "two/0001.png": 2.0, "three": 3.0, "v1.2.png": math.nan, "gone.png": 5.0}
    found = match_reference(names, images)
    assert dict(found.scores) == {images[0]: 1.0, images[1]: 2.0, images[2]: 3.0}
    assert found.without_image == ("gone.png",)
    assert found.without_score == (images[4],)
    assert found.no_number == ("v1.2.png",)


def test_the_same_suffix_wins() -> None:
    found = match_reference({"a.png": 1.0, "a.jpg": 2.0}, [Path("a.jpg"), Path("a.png")])
    assert dict(found.scores) == {Path("a.jpg"): 2.0, Path("a.png"): 1.0}


def test_of_several_names_of_an_image_the_closest_counts() -> None:
    names = {"data/p2/0001.jpg": 1.0, "data/p1/0001.jpg": 2.0, "p3/0001.jpg": 3.0}
    found = match_reference(names, [Path("data/p1/0001.jpg")])
    assert dict(found.scores) == {Path("data/p1/0001.jpg"): 2.0}
    assert found.without_image == ("data/p2/0001.jpg", "p3/0001.jpg")


@pytest.mark.parametrize(
    ("names", "images", "says"),
    [
        (["0001.png"], ["one/0001.png", "two/0001.png"], "2 images fit the name '0001.png'"),
        (["one/a.png", "two/a.png"], ["a.png"], "both fit a.png"),
        (["x/b/a.png", "y/b/a.png", "a.png"], ["b/a.png"], "x/b/a.png and y/b/a.png both fit b/a.png"),
    ],
)
def test_ambiguous_names_are_refused(names: list[str], images: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        match_reference(dict.fromkeys(names, 1.0), list(map(Path, images)))

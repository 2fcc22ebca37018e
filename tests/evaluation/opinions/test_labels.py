"""Label files in every layout, and their match with a folder of images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fiqa_evaluation.opinions.labels import match_labels, read_labels
from fiqa_runtime.errors import InputError

EXPECTED = {"a.png": 0.25, "b.png": 0.5}


@pytest.mark.parametrize(
    "data",
    [
        [{"Image": "a.png", "MOS": 0.25}, {"Image": "b.png", "MOS": "0.5"}],
        {"Image": ["a.png", "b.png"], "MOS": [0.25, 0.5]},
        {"Image": {"0": "a.png", "1": "b.png"}, "MOS": {"1": 0.5, "0": 0.25}},
        EXPECTED,
    ],
)
def test_every_json_layout_gives_the_same_labels(tmp_path: Path, data: Any) -> None:
    (tmp_path / "label.json").write_text(json.dumps(data))
    assert read_labels(tmp_path / "label.json") == EXPECTED
    assert read_labels(tmp_path) == EXPECTED


@pytest.mark.parametrize(
    "text",
    [
        "image,mos\na.png,0.25\nb.png,0.5\n",
        "Std, MOS ,IMAGE\r\n1,0.25,a.png\r\n\r\n2,0.5,b.png\r\n",
        '\ufeffImage,MOS\n"a.png",0.25\nb.png,0.5',
    ],
)
def test_every_csv_spelling_gives_the_same_labels(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.CSV"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_labels(path) == EXPECTED


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("l.csv", "image,score\na.png,1\n", r"columns \['image', 'score'\]"),
        ("l.csv", "image,mos\na.png\n", "does not have 2 columns"),
        ("l.csv", "image,mos\na.png,\n", "score of image 'a.png' is ''"),
        ("l.csv", "image,mos\na.png,nan\n", "score of image 'a.png' is 'nan'"),
        ("l.csv", "image,mos\n", "holds no labels"),
        ("l.csv", "", "is not CSV"),
        ("l.csv", 'image,mos\n"a.png,1\n', "is not CSV"),
        ("l.csv", "image,mos\na.png,1\na.png,2\n", "has the scores 1 and 2"),
        ("l.json", "{", "is not JSON"),
        ("l.json", "[]", "holds no labels"),
        ("l.json", '[{"image": "a.png"}]', "is not a label file"),
        ("l.json", '{"Image": ["a.png"], "MOS": [1, 2]}', "is not a label file"),
        ("l.json", '{"a.png": null}', "is 'None'"),
        ("l.json", '{"a.png": true}', "is 'True'"),
        ("l.json", '{"a.png": NaN}', "is 'nan'"),
        ("l.json", f'{{"a.png": {"9" * 400}}}', "is '9{80}'; give a number"),
        ("l.json", "3", "is not a label file"),
    ],
)
def test_wrong_label_files_are_refused(tmp_path: Path, name: str, text: str, says: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        read_labels(path)
    assert "\n" not in str(caught.value)


def test_a_missing_label_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"label\.json: No such file"):
        read_labels(tmp_path)


def test_what_does_not_match_is_listed_and_the_others_go_on(tmp_path: Path) -> None:
    images = [tmp_path / name for name in ("a.png", "b.png", "d.png")]
    found = match_labels({"b.png": 2, "c.png": 3, "a.png": 1}, images, tmp_path)
    assert found.paths == (tmp_path / "b.png", tmp_path / "a.png")
    assert found.mos.tolist() == [2, 1]
    assert found.missing == ("c.png",)
    assert found.unlabelled == (tmp_path / "d.png",)
    assert str(found) == "2 labelled images, 1 labels without image, 1 images without label"


@pytest.mark.parametrize(
    ("label", "image"),
    [("images/a.png", "a.png"), ("a.png", "images/a.png"), ("x\\a.png", "x/a.png"), ("./a.png", "a.png")],
)
def test_folders_may_be_written_on_one_side_only(tmp_path: Path, label: str, image: str) -> None:
    assert match_labels({label: 1}, [tmp_path / image], tmp_path).paths == (tmp_path / image,)


def test_another_folder_is_another_image(tmp_path: Path) -> None:
    found = match_labels({"train/a.png": 1, "test/a.png": 2}, [tmp_path / "test" / "a.png"], tmp_path)
    assert found.mos.tolist() == [2]
    assert found.missing == ("train/a.png",)


def test_the_exact_path_wins(tmp_path: Path) -> None:
    images = [tmp_path / "x" / "a.png", tmp_path / "a.png"]
    assert match_labels({"a.png": 1}, images, tmp_path).paths == (tmp_path / "a.png",)


@pytest.mark.parametrize(
    ("labels", "images", "says"),
    [
        ({"a.png": 1}, ["x/a.png", "y/a.png"], "2 images fit the name 'a.png'"),
        ({"a.png": 1, "x/a.png": 2}, ["x/a.png"], "two labels mean"),
        ({"a.png": 1}, ["b.png"], "none of 1 labels, such as 'a.png'"),
        ({"a.png": 1}, [], "names one of 0 images"),
    ],
)
def test_ambiguous_matches_are_refused(tmp_path: Path, labels: dict[str, float], images: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        match_labels(labels, [tmp_path / image for image in images], tmp_path)

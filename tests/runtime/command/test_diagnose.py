"""fiqa-score --diagnose as typed: a table and JSON, our own files, graphs that normalise themselves, bad input."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fiqa_export.graph.raw_input import take_raw_input
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.diagnosis.trials import try_photos
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.commands import Invoke
from tests.help.samples.cards import card_beside_alone
from tests.help.samples.feeds import CROPS, PLANTED, Image, half, planted, rgb


@pytest.fixture(scope="module")
def detector(weights_dir: Path) -> Detector:
    return Detector(weights_dir / "face_detection_yunet_2023mar.onnx")


@pytest.fixture(scope="module")
def photos(images_dir: Path) -> list[Path]:
    return [path for name in ("dlib", "skimage", "face_recognition") for path in find_images([images_dir / name])]


def write(path: Path, names: list[Path], scores: np.ndarray) -> Path:
    path.write_text("image,score\n" + "".join(f"{n.name},{s}\n" for n, s in zip(names, scores, strict=True)))
    return path


def test_command_names_the_fault_in_a_table_and_in_json(
    score: Invoke, scorer: Scorer, crops: list[Path], tmp_path: Path
) -> None:
    scores = planted(scorer, [read_image(path) for path in crops], PLANTED["bgr"][0])
    file = write(tmp_path / "theirs.csv", crops, scores)
    with file.open("a") as stream:
        stream.write("gone.png,0.5\n")
    (tmp_path / "torn.png").write_bytes(b"no picture")
    (tmp_path / "more.png").write_bytes(crops[0].read_bytes())
    with file.open("a") as stream:
        stream.write("torn.png,0.5\n")
    images = (crops[0].parent, tmp_path / "torn.png", tmp_path / "more.png")
    arguments = ("--engine", scorer.path, "--backend", "onnxruntime", "--aligned", *images, "--diagnose")
    result = score(*arguments, "--reference", file)
    assert result.code == 0, result.err
    *_, last = result.out.strip().splitlines()
    assert last.startswith("RGB and BGR swapped: BGR instead of RGB (residual")
    assert "left out: 1 scores without image (gone.png)" in result.out
    assert "left out: 1 images without score" in result.out and "more.png" in result.out
    assert "left out: 1 images that cannot be tried" in result.out and "torn.png" in result.out
    assert "not tried on ready crops: detector, alignment and template" in result.out

    document = json.loads(score(*arguments, "--reference", file, "--json", "-").out)
    assert document["outcome"] == "fault" and document["images"] == CROPS
    assert document["findings"][1]["fault"] == "RGB and BGR swapped"
    assert document["findings"][1]["residual"] < 1e-6 < document["findings"][0]["residual"]


@pytest.mark.parametrize("written", [("--csv", "own.csv"), ("--quality-file", "q.csv"), ("--quality-file", "q.txt")])
def test_our_own_files_agree(
    score: Invoke, scorer: Scorer, crops: list[Path], tmp_path: Path, written: tuple[str, str]
) -> None:
    option, name = written
    arguments = ("--engine", scorer.path, "--backend", "onnxruntime", "--aligned", *crops)
    assert score(*arguments, option, tmp_path / name).code == 0
    result = score(*arguments, "--diagnose", "--reference", tmp_path / name)
    assert result.code == 0 and "\nnone: they agree" in result.out, result


def test_our_own_photos_agree(
    score: Invoke, scorer: Scorer, photos: list[Path], weights_dir: Path, tmp_path: Path
) -> None:
    arguments = ("--engine", scorer.path, "--backend", "onnxruntime", *photos[:7])
    assert score(*arguments, "--csv", tmp_path / "own.csv").code == 0
    assert len((tmp_path / "own.csv").read_text(encoding="utf-8").splitlines()) > 8, "no photo has several faces"
    result = score(*arguments, "--diagnose", "--reference", tmp_path / "own.csv")
    assert result.code == 0 and "\nnone: they agree" in result.out, result
    assert "these images cannot show, as pixels or scores stay the same: OpenCV nearest" in result.out


def test_many_images_are_thinned_out(
    score: Invoke, scorer: Scorer, crops: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fiqa_runtime.command.diagnose.MOST_IMAGES", 5)
    file = write(tmp_path / "s.csv", crops, np.linspace(0, 1, CROPS))
    result = score(
        "--engine", scorer.path, "--backend", "onnxruntime", "--aligned", *crops, "--diagnose", "--reference", file
    )
    assert f"tried on 5 of {CROPS} images, evenly chosen" in result.out and result.out.startswith("5 images;")


BAD = {
    "no reference": (["--diagnose"], ["--diagnose and --reference FILE go together"]),
    "no diagnose": (["--reference", "s.csv"], ["go together"]),
    "other output": (["--diagnose", "--reference", "s.csv", "--csv", "x.csv"], ["--diagnose makes no use of --csv"]),
    "threshold": (
        ["--diagnose", "--reference", "s.csv", "--fp32-threshold", "0"],
        ["--diagnose makes no use of --fp32-threshold", "leave it out"],
    ),
    "missing file": (["--diagnose", "--reference", "no.csv"], ["cannot read no.csv"]),
    "other names": (["--diagnose", "--reference", "s.csv"], ["names none of the images", "a.png"]),
    "only NaN": (["--diagnose", "--reference", "nan.csv"], ["no score that is a number"]),
    "too few": (["--diagnose", "--reference", "one.csv"], ["1 images are too few", "at least 5"]),
    "torn": (["--diagnose", "--reference", "torn.csv", "torn.png"], ["none of 1 images can be tried", "torn.png"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(
    score: Invoke, scorer: Scorer, crops: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("torn.png").write_bytes(b"no picture")
    for name, line in (("s", "a.png,1"), ("nan", "00.png,nan"), ("one", "00.png,0.5"), ("torn", "torn.png,1")):
        Path(f"{name}.csv").write_text(f"image,score\n{line}\n")
    arguments, parts = BAD[case]
    result = score(*arguments, *crops, "--aligned", "--engine", scorer.path, "--backend", "onnxruntime")
    assert result.is_one_line(*parts), result


@pytest.fixture(scope="module")
def raw_engine(seeded_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network behind a graph that takes uint8 BGR crops."""
    path = tmp_path_factory.mktemp("raw") / seeded_engine.name
    shutil.copy(seeded_engine, path)
    card = read_card(seeded_engine)
    take_raw_input(path, card.input)
    changed = replace(card, input=replace(card.input, raw=True))
    card_beside_alone(changed, path)
    return path


@pytest.mark.parametrize(
    ("pipeline", "says"),
    [
        (PLANTED["bgr"][0], "RGB and BGR swapped: RGB instead of BGR"),
        (PLANTED["bicubic"][0], "wrong resize interpolation: OpenCV bicubic"),
        (lambda image: half(rgb(image)), "none: they agree"),
        (PLANTED["twice"][0], "no hypothesis explains it"),
    ],
)
def test_graphs_that_normalise_themselves_tell_what_comes_before(
    score: Invoke,
    scorer: Scorer,
    raw_engine: Path,
    crops: list[Path],
    tmp_path: Path,
    pipeline: Callable[[Image], np.ndarray],
    says: str,
) -> None:
    file = write(tmp_path / "s.csv", crops, planted(scorer, [read_image(path) for path in crops], pipeline))
    result = score(
        *("--engine", raw_engine, "--backend", "onnxruntime", "--aligned", *crops, "--diagnose", "--reference", file)
    )
    assert result.code == 0, result.err
    *_, last = result.out.strip().splitlines()
    assert last.startswith(says), result.out
    assert "not tried inside the graph: normalisation; give an artefact exported without --raw-input" in result.out
    assert "normalisation doubled" not in result.out


def test_photos_are_tried_with_graphs_that_normalise_themselves(
    raw_engine: Path, scorer: Scorer, detector: Detector, photos: list[Path]
) -> None:
    with Scorer(raw_engine, "onnxruntime", threads=1) as raw:
        inside, outside = try_photos(raw, photos[:3], detector), try_photos(scorer, photos[:3], detector)
    swapped = {h.fault: scores for h, scores in outside.scores.items()}["RGB and BGR swapped"]
    for hypothesis, scores in inside.scores.items():
        expected = swapped if hypothesis.fault == "RGB and BGR swapped" else None
        expected = expected or next(s for h, s in outside.scores.items() if h.detail == hypothesis.detail)
        np.testing.assert_allclose(scores, expected, atol=1e-6, err_msg=hypothesis.detail)

"""fiqa-score as typed: results on real photos, and every kind of bad input."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from fiqa_runtime.artefact.card import card_path, read_card
from fiqa_runtime.artefact.spec import Framing
from fiqa_runtime.command.settings import assessor_for
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.files import sha256_of

from tests.help.commands import Invoke
from tests.help.places import GOLDEN
from tests.help.samples.cards import card_beside_alone

TOLERANCE = 5e-4 if cv2.__version__.startswith("5") else 4e-3


@pytest.fixture()
def crops(tmp_path: Path) -> Path:
    """A folder with five crops, one of them below a subfolder and with an upper-case suffix."""
    folder = tmp_path / "crops"
    (folder / "more").mkdir(parents=True)
    for index in range(4):
        cv2.imwrite(str(folder / f"{index}.png"), seeded_image(index, 112, 112))
    cv2.imwrite(str(folder / "more/4.PNG"), seeded_image(4, 112, 112))
    return folder


@pytest.mark.parametrize("backend", ["onnxruntime", "opencv", "openvino"])
def test_golden_pipeline(score: Invoke, seeded_engine: Path, images_dir: Path, weights_dir: Path, backend: str) -> None:
    result = score(images_dir, "--engine", seeded_engine, "--backend", backend, "--json", "-")
    assert result.code == 0
    document = json.loads(result.out)
    assert document["backend"]["name"] == backend
    golden = json.loads((GOLDEN / "pipeline-ediffiqa-t.json").read_text(encoding="utf-8"))
    faces_of = {Path(i["path"]).relative_to(images_dir).as_posix(): i["faces"] for i in document["images"]}
    for image in golden["images"]:
        expected = [face["least_squares"]["score32"] for face in image["faces"]]
        got = [face["quality"] for face in faces_of[image["file"]]]
        np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0, err_msg=image["file"])


def test_lmeds_is_the_demo(score: Invoke, seeded_engine: Path, images_dir: Path, weights_dir: Path) -> None:
    golden = json.loads((GOLDEN / "pipeline-ediffiqa-t.json").read_text(encoding="utf-8"))
    image = golden["images"][0]
    arguments = ("--engine", seeded_engine, "--align", "lmeds", "--json", "-")
    document = json.loads(score(images_dir / image["file"], *arguments).out)
    expected = [face["lmeds"]["score32"] for face in image["faces"]]
    got = [face["quality"] for face in document["images"][0]["faces"]]
    np.testing.assert_allclose(got, expected, atol=TOLERANCE, rtol=0)


def test_photo_without_faces(score: Invoke, seeded_engine: Path, weights_dir: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "wall.png"), seeded_image(0, 240, 320))
    cv2.imwrite(str(tmp_path / "dot.png"), np.zeros((1, 1, 3), np.uint8))
    result = score(tmp_path, "--engine", seeded_engine, "--json", "-")
    assert result.code == 0
    assert [image["faces"] for image in json.loads(result.out)["images"]] == [[], []]


def test_overlays_and_csv(
    score: Invoke, seeded_engine: Path, images_dir: Path, weights_dir: Path, tmp_path: Path
) -> None:
    photo = images_dir / "dlib/2007_007763.jpg"
    result = score(photo, "--engine", seeded_engine, "--csv", tmp_path / "s.csv", "--overlay", tmp_path / "o")
    assert result.code == 0
    with (tmp_path / "s.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 7
    assert float(rows[0]["right_eye_x"]) == pytest.approx(104.324, abs=0.01)
    picture = read_image(tmp_path / "o/2007_007763.jpg.png")
    assert picture.shape == read_image(photo).shape
    assert (picture != read_image(photo)).any()


def test_ready_crops(score: Invoke, seeded_engine: Path, crops: Path, tmp_path: Path) -> None:
    result = score(crops, "--engine", seeded_engine, "--aligned", "--json", "-", "--csv", tmp_path / "s.csv")
    images = json.loads(result.out)["images"]
    golden = json.loads((GOLDEN / "ediffiqa-t.json").read_text(encoding="utf-8"))["score64"]
    assert [Path(i["path"]).name for i in images] == ["0.png", "1.png", "2.png", "3.png", "4.PNG"]
    np.testing.assert_allclose([i["quality"] for i in images[:4]], golden, atol=1e-6)
    assert len((tmp_path / "s.csv").read_text(encoding="utf-8").splitlines()) == 6


def test_csv_to_stdout(score: Invoke, seeded_engine: Path, crops: Path, tmp_path: Path) -> None:
    arguments = (crops, "--engine", seeded_engine, "--aligned", "--csv")
    shown = score(*arguments, "-")
    assert shown.code == 0
    assert not Path("-").exists()
    score(*arguments, tmp_path / "s.csv")
    assert shown.out.splitlines() == (tmp_path / "s.csv").read_text(encoding="utf-8").splitlines()
    assert len(shown.out.splitlines()) == 6


def test_lines_for_people(score: Invoke, seeded_engine: Path, crops: Path) -> None:
    result = score(crops / "0.png", "--engine", seeded_engine, "--aligned")
    assert result.code == 0
    assert "0.png" in result.out
    assert "0.0230" in result.out


@pytest.mark.parametrize("shape", [(112, 112), (112, 112, 4), (1, 1, 3), (2000, 20, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_odd_images_are_handled(
    score: Invoke, seeded_engine: Path, tmp_path: Path, shape: tuple[int, ...], dtype: type
) -> None:
    cv2.imwrite(str(tmp_path / "odd.png"), np.full(shape, np.iinfo(dtype).max // 2, dtype))
    result = score(tmp_path / "odd.png", "--engine", seeded_engine, "--aligned", "--json", "-")
    assert result.code == 0
    assert np.isfinite(json.loads(result.out)["images"][0]["quality"])


def test_one_bad_image_does_not_stop_the_rest(score: Invoke, seeded_engine: Path, crops: Path, tmp_path: Path) -> None:
    data = (crops / "1.png").read_bytes()
    (crops / "1.png").write_bytes(data[: len(data) // 2])
    result = score(crops, "--engine", seeded_engine, "--aligned", "--json", tmp_path / "s.json")
    assert result.ends_in("1.png", "cut short")
    images = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["images"]
    assert ["error" in image for image in images] == [False, True, False, False, False]


def test_a_score_that_is_no_number_does_not_stop_the_rest(
    score: Invoke, seeded_engine: Path, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = [seeded_image(1, 112, 112)]
    run = Scorer._output

    def without_number(scorer: Scorer, name: str, what: str, images: list[np.ndarray]) -> np.ndarray:
        scores: np.ndarray = run(scorer, name, what, images).copy()
        scores[[any(np.array_equal(image, other) for other in bad) for image in images]] = np.nan
        return scores

    monkeypatch.setattr(Scorer, "_output", without_number)
    arguments = (crops, "--engine", seeded_engine, "--aligned", "--json", tmp_path / "s.json")
    assert score(*arguments).ends_in("1.png: ", "not a number", "--self-test")
    images = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))["images"]
    assert ["error" in image for image in images] == [False, True, False, False, False]
    bad += [seeded_image(index, 112, 112) for index in (0, 2, 3, 4)]
    assert score(*arguments).ends_in("none of 5 images can be scored", "not a number")


def test_names_that_are_no_utf_8(score: Invoke, seeded_engine: Path, crops: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    shutil.copy(crops / "0.png", tmp_path / name)
    arguments = ("--engine", seeded_engine, "--aligned", "--csv", tmp_path / "s.csv")
    result = score(tmp_path / name, *arguments, "--quality-file", tmp_path / "q.txt")
    assert result.code == 0, result.err
    assert b"caf\xe9.png," in (tmp_path / "s.csv").read_bytes()
    assert b"caf\xe9.png " in (tmp_path / "q.txt").read_bytes()
    command = [sys.executable, "-m", "fiqa_runtime.cli", "--engine", str(seeded_engine), "--backend", "onnxruntime"]
    shown = subprocess.run([*command, "--aligned", tmp_path / name], capture_output=True, check=True)
    assert b"caf\xe9.png    0.0230\n" in shown.stdout


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_names_that_stdout_cannot_spell(seeded_engine: Path, crops: Path, tmp_path: Path, encoding: str) -> None:
    """As on a pipe of Windows: the character is written with a backslash, and the rest goes on."""
    for name in ("\u9854.png", "plain.png"):
        shutil.copy(crops / "0.png", tmp_path / name)
    command = [sys.executable, "-m", "fiqa_runtime.cli", "--engine", str(seeded_engine), "--backend", "onnxruntime"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    shown = subprocess.run([*command, "--aligned", tmp_path], capture_output=True, env=environment)
    assert shown.returncode == 0, shown.stderr
    assert ("\u9854.png" if encoding == "utf-8" else r"\u9854.png").encode(encoding) in shown.stdout
    assert b"plain.png" in shown.stdout


def test_control_characters_of_a_name_do_not_reach_the_terminal(score: Invoke, seeded_engine: Path) -> None:
    result = score("\x1b[31mred\n.png", "--engine", seeded_engine, "--aligned")
    assert result.is_one_line(r"\x1b[31mred\n.png", "check the spelling")
    assert "\x1b" not in result.err


def test_self_test(score: Invoke, seeded_engine: Path, tmp_path: Path) -> None:
    assert "passed" in score("--self-test", "--engine", seeded_engine).out
    copy = tmp_path / seeded_engine.name
    copy.write_bytes(seeded_engine.read_bytes())
    card = read_card(seeded_engine)
    card_beside_alone(replace(card, input=replace(card.input, mean=(0, 0, 0))), copy)
    failed = score("--self-test", "--engine", copy)
    assert failed.code == 3
    assert "FAILED" in failed.err
    card_beside_alone(replace(card, input=replace(card.input, mean=(0, 0, 0), std=(1e-38, 1e-38, 1e-38))), copy)
    failed = score("--self-test", "--engine", copy, "--json", "-")
    assert failed.code == 3
    document = json.loads(failed.out)
    assert (document["passed"], document["images"], document["max_abs"]) == (False, 4, {"score": None})
    assert (document["schema"], document["sha256"]) == ("fiqa-score-self-test.v1", sha256_of(copy))


BAD = {
    "missing path": (["nowhere.png"], ["nowhere.png", "check the spelling"]),
    "folder without images": (["empty"], ["no images under", ".png"]),
    "nothing named": ([], ["nothing to score"]),
    "unknown backend": (["ok.png", "--backend", "caffe"], ["unknown backend 'caffe'"]),
    "unknown alignment": (["ok.png", "--align", "magic"], ["unknown alignment 'magic'"]),
    "missing detector": (["ok.png", "--detector", "no.onnx"], ["no.onnx"]),
    "confidence": (["ok.png", "--min-confidence", "7"], ["min_confidence is 7"]),
    "threshold without a decision": (
        ["ok.png", "--quality-file", "q.txt", "--fp32-threshold", "0"],
        ["--fp32-threshold"],
    ),
    "detection of crops": (
        ["ok.png", "--aligned", "--detector", "d.onnx", "--min-confidence", "0.5"],
        ["--aligned makes no use of --detector and --min-confidence", "leave them out"],
    ),
    "alignment of crops": (["ok.png", "--aligned", "--align", "lmeds"], ["no use of --align"]),
    "landmarks of photos": (["ok.png", "--landmarks", "."], ["--landmarks are those of ready crops", "add --aligned"]),
    "both ways to be fast": (["ok.png", "--overlap", "--streams", "2"], ["--streams makes no use of --overlap"]),
    "self-test of photos": (["ok.png", "--self-test"], ["--self-test makes no use of PATH"]),
    "two questions": (["--self-test", "--explain"], ["--self-test makes no use of --explain"]),
    "explain with CSV": (["--explain", "--csv", "s.csv"], ["--explain makes no use of --csv"]),
    "missing engine": (["ok.png", "--engine", "ifqa.onnx"], ["no artefact at", "fiqa-export ifqa"]),
    "output folder": (["ok.png", "--aligned", "--csv", "text.png/s.csv"], ["text.png", "choose a folder"]),
    "overlay folder": (["ok.png", "--aligned", "--overlay", "text.png/o"], ["text.png", "choose a folder"]),
    "overlay over the photos": (["ok.png", "--aligned", "--overlay", "."], ["would overwrite", "ok.png", "another"]),
    "JSON folder": (["ok.png", "--aligned", "--json", "text.png/s.json"], ["text.png", "choose a folder"]),
    "folder as JSON": (["ok.png", "--aligned", "--json", "empty"], ["empty is a folder; name a file in it"]),
    "folder as CSV": (["ok.png", "--aligned", "--csv", "empty"], ["empty is a folder"]),
    "folder as quality file": (["ok.png", "--aligned", "--quality-file", "d.txt"], ["d.txt is a folder"]),
    "self-test into a folder": (["--self-test", "--json", "empty"], ["empty is a folder"]),
    "one file for two outputs": (
        ["ok.png", "--json", "f.txt", "--csv", "f.txt"],
        ["--csv and --json are the same file"],
    ),
    "a second quality file": (
        ["ok.png", "--quality-file", "f.csv", "--quality-file", "f.csv"],
        ["--quality-file and --quality-file are the same file f.csv"],
    ),
    "both to stdout": (["ok.png", "--json", "-", "--csv", "-"], ["--json and --csv cannot both", "name a file"]),
    "quality file to stdout": (["ok.png", "--quality-file", "-"], ["--quality-file cannot be written to stdout"]),
    "output over a photo": (["ok.png", "--csv", "ok.png"], ["--csv and PATH are the same file ok.png"]),
    "output over the detector": (["ok.png", "--detector", "d.onnx", "--csv", "d.onnx"], ["--csv and --detector"]),
    "threads": (["ok.png", "--threads", "99999999999"], ["99999999999 threads", "at most 1024"]),
    "threshold": (["ok.png", "--aligned", "--fp32-threshold", "nan"], ["threshold is nan", "finite"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(
    score: Invoke, seeded_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("d.txt").mkdir()
    Path("text.png").write_text("no picture")
    cv2.imwrite("ok.png", seeded_image(0, 112, 112))
    before = sorted(tmp_path.rglob("*"))
    arguments, parts = BAD[case]
    too_late = Mock(side_effect=AssertionError("scored all the same"))
    monkeypatch.setattr("fiqa_runtime.command.score_command.score_crops", lambda *arguments: map(too_late, [0]))
    engine = [] if "--engine" in arguments else ["--engine", seeded_engine]
    result = score(*arguments, *engine)
    assert result.is_one_line(*parts), result
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_that_is_no_image(score: Invoke, seeded_engine: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    result = score(tmp_path / "text.png", "--aligned", "--engine", seeded_engine)
    assert result.is_one_line("text.png", "not an image"), result


def test_outputs_over_the_artefact(score: Invoke, seeded_engine: Path, crops: Path) -> None:
    before = seeded_engine.read_bytes(), card_path(seeded_engine).read_bytes()
    for file, name in ((seeded_engine, "the artefact"), (card_path(seeded_engine), "the artefact's card")):
        result = score(crops, "--aligned", "--engine", seeded_engine, "--csv", file)
        assert result.is_one_line(f"--csv and {name} are the same file {file}")
    assert (seeded_engine.read_bytes(), card_path(seeded_engine).read_bytes()) == before


@pytest.mark.parametrize("framing", ["ffhq", "portrait-512"])
def test_alignment_for_networks_that_take_no_aligned_crops(seeded_engine: Path, framing: Framing) -> None:
    with Scorer(seeded_engine, "onnxruntime") as scorer:
        scorer.card = replace(scorer.card, input=replace(scorer.card.input, framing=framing))
        with pytest.raises(InputError, match="ediffiqa-t makes no use of --align; leave it out"):
            assessor_for(scorer, Mock(), "lmeds", Mock(), ExitStack())

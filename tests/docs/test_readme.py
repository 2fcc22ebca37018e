"""The README: at most 8 KB, its commands run in order as typed, its table agrees with the registry."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import fiqa_runtime
import matplotlib
import numpy as np
import pytest
from fiqa_benchmarks.speed import latency
from fiqa_export.command.list_command import commercial_use
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.command.settings import FaceSettings
from fiqa_runtime.live import Frames

from tests.help.commands import Invoke
from tests.help.evaluation.data_sets import bin_content, write_bin, write_recogniser
from tests.help.markdown import code_blocks
from tests.help.places import ROOT
from tests.help.samples.one_face import OneFace

TEXT = (ROOT / "README.md").read_text("utf-8")
LEFT_OUT = {"make demo": "CI runs it by itself", "fiqa-export ediffiqa-t": "fetches the authors' weights"}
"""By command: why it is not run here."""
PARTS_LEFT_OUT = {
    "pip install": "tests/docs/test_packaging.py installs",
    "--int8 --calib": "searches for minutes; tests/export/int8/test_command.py does the same",
}
"""By part of a command: why it is not run here."""
PLAN = """title = "a plan"
sets = [{name = "lfw", source = "lfw.bin"}]
recognisers = [{name = "net", network = "net.onnx", preset = "arcface"}]
qualities = [{engine = "ediffiqa-t.fp32.onnx"}]
discard = {fmr = [0.2], bootstrap = 10}
"""
"""A small one in place of the reader's own."""


def typed() -> Iterator[list[str]]:
    """The commands in words, in order."""
    for block in code_blocks(TEXT, "sh"):
        for line in block.splitlines():
            yield shlex.split(line, comments=True)


def is_left_out(words: list[str]) -> bool:
    line = " ".join(words)
    return line in LEFT_OUT or any(part in line for part in PARTS_LEFT_OUT)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the three photos that the README scores, a data set and a plan; measuring takes the
    fewest rounds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(latency, "TOTAL_SECONDS", 1)
    shutil.copy(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg", "photo.jpg")
    photo = fiqa_runtime.read_image(Path("photo.jpg"))
    small = cv2.resize(photo, None, fx=0.15, fy=0.15, interpolation=cv2.INTER_AREA)
    cv2.imwrite("blurred.jpg", cv2.GaussianBlur(photo, (0, 0), 6))
    cv2.imwrite("tiny.jpg", cv2.resize(small, (photo.shape[1], photo.shape[0])))
    clip = cv2.VideoWriter("clip.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 10, (512, 600))
    for _ in range(3):
        clip.write(photo)
    clip.release()
    write_bin(Path("lfw.bin"), bin_content(4, 2))
    write_recogniser(Path("net.onnx"))
    Path("plan.toml").write_text(PLAN)
    return tmp_path


def run_all(command: dict[str, Invoke]) -> dict[str, str]:
    """What each command printed."""
    printed = {}
    for name, *arguments in filter(lambda words: not is_left_out(words), typed()):
        result = command[name](*arguments)
        assert result.code == 0, f"{name} {' '.join(arguments)}: {result.err}"
        printed[" ".join((name, *arguments))] = result.out
    return printed


def test_commands_run_in_order_as_typed(
    command: dict[str, Invoke],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On a stranger's machine, without the detector's file: a detector of the test finds the faces."""
    monkeypatch.setattr(FaceSettings, "open_detector", lambda *_: OneFace())
    monkeypatch.setattr(fiqa_runtime, "Detector", OneFace)
    printed = run_all(command)
    monkeypatch.setattr("fiqa_runtime.live.Frames", lambda camera: Frames("clip.mp4"))
    assert len(printed) >= 9 and len(list((folder / "shots").iterdir())) == 1
    for name in ("engines/ediffiqa-t.fp32.onnx", "engines/ediffiqa-t.fp16.onnx", "report.html", "plan/report.html"):
        assert (folder / name).is_file(), name
    photo, camera = code_blocks(TEXT, "python")
    exec(compile(photo, "README.md", "exec"), {})
    assert float(capsys.readouterr().out.split()[0]) > 0
    exec(compile(camera, "README.md", "exec"), {})
    assert re.fullmatch(r"0 0\.\d+ \(600, 512, 3\)\n", capsys.readouterr().out)


def test_the_printed_scores_are_those_of_the_command(
    command: dict[str, Invoke], folder: Path, weights_dir: Path
) -> None:
    """With the detector that the README used; other processors may round otherwise."""
    assert (weights_dir / "face_detection_yunet_2023mar.onnx").is_file()
    first = [words for words in typed() if words[0] in command and not is_left_out(words)][:2]
    printed = "".join(command[name](*arguments).out for name, *arguments in first)
    shown = next(block for block in code_blocks(TEXT, "") if "photo.jpg" in block)
    scores = [np.array(re.findall(r"\b0\.\d{4}\b", text), float) for text in (shown, printed)]
    assert scores[0].size == 4, "three scores, and the worst again"
    np.testing.assert_allclose(scores[1], scores[0], atol=0.02)


def test_the_wheel_has_the_version() -> None:
    assert f"fiqa_edge-{fiqa_runtime.__version__}-py3-none-any.whl" in TEXT


def test_it_is_short() -> None:
    assert len(TEXT.encode()) <= 8 * 1024


def test_what_it_links_to_is_there() -> None:
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", TEXT)]
    assert len(links) > 20
    assert not [link for link in links if not (ROOT / link).exists()]


def test_the_table_of_networks_agrees_with_the_registry() -> None:
    rows = [line.split(" | ") for line in TEXT.splitlines() if line.startswith("| `")]
    named = set()
    for row in rows:
        first, *more = re.findall(r"`([\w-]+)`", row[0])
        stem = first.rsplit("-", 1)[0]
        names = [first, *(stem + name if name.startswith("-") else name for name in more)]
        named |= set(names)
        assert {commercial_use(MODELS[name].licence) for name in names} == {row[4].strip(" |")}
        assert {rounded(MODELS[name].parameters) for name in names} == set(row[3].removesuffix(" M").split(", "))
    assert named == set(MODELS)


def rounded(parameters: int) -> str:
    """Millions, with the digits that the table has."""
    digits = 2 if parameters < 1e6 else 1 if parameters < 1e7 else 0
    return f"{parameters / 1e6:.{digits}f}"

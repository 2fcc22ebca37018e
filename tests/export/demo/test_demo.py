"""``make demo`` on a machine without our files: ten faces and more, one page, and commands that work as printed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
FEWEST_FACES = 10
STRANGER = {name: value for name, value in os.environ.items() if not name.startswith("FIQA_")}
"""The environment of somebody who has none of our variables."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which the demo ran, and what it printed."""
    for package in ("skimage", "lz4", "jinja2"):
        pytest.importorskip(package, reason="pip install 'fiqa-edge[demo]' brings what the demo needs")
    folder = tmp_path_factory.mktemp("demo")
    arguments = [sys.executable, "-m", "fiqa_export.demo"]
    done = subprocess.run(arguments, cwd=folder, env=STRANGER, capture_output=True, text=True, check=True)
    return folder, done.stdout


def test_the_page_shows_scored_faces_and_needs_nothing_else(demo: tuple[Path, str]) -> None:
    folder, out = demo
    page = (folder / "demo" / "index.html").read_text("utf-8")
    summary = json.loads((folder / "demo" / "summary.json").read_text("utf-8"))
    faces = sum(len(photo["qualities"]) for photo in summary["photos"])
    assert faces >= FEWEST_FACES
    assert f"{faces} faces were found in 3 photos" in page and f"{faces} faces in 3 photos" in out
    assert len(re.findall(r'<img src="data:image/jpeg;base64,', page)) == len(re.findall("<img ", page)) > faces
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", page), "nothing is fetched"
    assert "Stand-in weights." in page


def test_scores_fall_along_the_ladders(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    page = (folder / "demo" / "index.html").read_text("utf-8")
    for ladder in page.split('<div class="kind">')[1:]:
        scores = [float(text) for text in re.findall(r'"score \w+">(-?\d\.\d\d)<', ladder)][:6]
        assert len(scores) == 6 and scores[-1] < scores[0] - 0.5


def test_every_runtime_gives_the_scores(demo: tuple[Path, str]) -> None:
    folder, _ = demo
    rows = json.loads((folder / "demo" / "summary.json").read_text("utf-8"))["backends"]
    assert {row["artefact"] for row in rows} == {"ediffiqa-t.fp32.onnx", "ediffiqa-t.fp16.onnx"}
    assert {row["backend"] for row in rows} >= {"onnxruntime", "opencv"}
    assert all(row["off"] < (1e-5 if "fp32" in row["artefact"] else 1e-2) for row in rows)


def test_the_commands_work_as_printed(demo: tuple[Path, str]) -> None:
    folder, out = demo
    commands = [line.removeprefix("try next  ") for line in out.splitlines() if line.startswith("try next")]
    assert len(commands) == 3
    for command in commands:
        done = subprocess.run(
            shlex.split(command), cwd=folder, env=STRANGER, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (command, done.stderr)
    assert len(list((folder / "demo" / "scored").iterdir())) == 3
    assert (folder / "demo" / "bench.html").is_file()

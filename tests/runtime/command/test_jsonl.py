"""``--jsonl``: one line per image, whatever became of it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_runtime.command.results import ImageResult, line_of
from fiqa_runtime.faces.face_quality import Face
from fiqa_runtime.images.seeded import seeded_image

from tests.help.commands import Invoke


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), seeded_image(0, 112, 112))
    (folder / "b.png").write_bytes(b"no picture")
    (folder / "c.gif").write_bytes(b"GIF89a")
    return folder


def test_every_image_has_a_line(score: Invoke, seeded_engine: Path, folder: Path, tmp_path: Path) -> None:
    arguments = (folder, "--engine", seeded_engine, "--backend", "onnxruntime", "--aligned", "--jsonl")
    shown = score(*arguments, "-")
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert [(Path(line["image"]).name, line["outcome"]) for line in lines] == [
        ("a.png", "scored"),
        ("b.png", "refused"),
        ("c.gif", "passed over"),
    ]
    assert lines[0]["quality"] == pytest.approx(0.023, abs=1e-3) and lines[0]["error"] is None
    assert "b.png" in lines[1]["error"] and lines[1]["quality"] is None
    written = score(*arguments, tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text("utf-8") == shown.out
    assert "wrote 3 lines to" in written.err


def test_the_lines_of_photos() -> None:
    face = Face(np.array([1, 2, 3, 4], np.float32), np.ones((5, 2), np.float32), 0.9, 0.5)
    assert line_of(ImageResult(Path("p.jpg"), 9, 9, (face,))) == {
        "image": "p.jpg",
        "outcome": "scored",
        "faces": [face.as_dict()],
        "error": None,
    }
    assert line_of(ImageResult(Path("w.jpg"), 9, 9, ()))["faces"] == []


def test_a_file_that_cannot_be_written(score: Invoke, seeded_engine: Path, folder: Path) -> None:
    arguments = (folder, "--engine", seeded_engine, "--aligned", "--jsonl")
    assert score(*arguments, folder).is_one_line("is a folder; name a file in it")
    assert score(*arguments, "-", "--csv", "-").is_one_line("cannot both be written to stdout")

"""The table for people: aligned columns, scores against a threshold, and a last line over all of them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from fiqa_runtime.command.results import ImageResult
from fiqa_runtime.command.table import WIDEST, Table
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.face_quality import Face


def face(quality: float) -> Face:
    return Face(np.array([10, 20, 30, 40], np.float32), np.zeros((5, 2), np.float32), 0.9, quality)


RESULTS = [
    ImageResult(Path("group.jpg"), 90, 90, (face(0.91), face(0.12))),
    ImageResult(Path("wall.jpg"), 90, 90, ()),
    ImageResult(Path("torn.jpg"), error=InputError("torn.jpg: it is cut short; copy it again")),
]


def test_columns_stand_below_their_names_and_the_last_line_sums_up() -> None:
    table = Table([result.path for result in RESULTS], crops=False, threshold=0.5)
    decided = [ImageResult(r.path, r.width, r.height, r.faces, error=r.error, threshold=0.5) for r in RESULTS]
    head, *lines = [table.head(), *(line for result in decided for line in table.lines(result))]
    assert head.split() == ["image", "quality", "verdict", "face", "confidence", "box"]
    assert lines[0].split() == ["group.jpg", "0.9100", "accepted", "0", "0.900", "10,20", "30", "x", "40"]
    assert lines[1].split()[:3] == ["group.jpg", "0.1200", "rejected"]
    end = head.index("quality") + len("quality")
    assert all(line[:end].endswith(score) for line, score in zip(lines, ("0.9100", "0.1200"), strict=False))
    assert lines[2].endswith("no face") and lines[3].endswith("refused: it is cut short; copy it again")
    assert list(table.last()) == ["2 faces in 2 photos, 1 below 0.5, worst 0.1200 in group.jpg"]


def test_without_a_threshold_nothing_is_decided() -> None:
    table = Table([Path("a.png")], crops=True, threshold=None)
    assert list(table.lines(ImageResult(Path("a.png"), quality=0.25))) == ["a.png    0.2500"]
    assert list(table.last()) == ["1 crop, worst 0.2500 in a.png"]


def test_without_a_score_there_is_no_last_line() -> None:
    table = Table([Path("wall.jpg")], crops=False, threshold=None)
    list(table.lines(RESULTS[1]))
    assert list(table.last()) == []


def test_colours_and_short_names_are_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    name = Path("folder") / f"{'long' * 20}.png"
    result = ImageResult(name, quality=0.25, threshold=0.5)
    (piped,) = Table([name], crops=True, threshold=0.5).lines(result)
    assert piped == f"{name}    0.2500  rejected"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    (shown,) = Table([name], crops=True, threshold=0.5).lines(result)
    assert shown.startswith("…") and shown.index("  ") == WIDEST and "\x1b[31m" in shown
    monkeypatch.setenv("NO_COLOR", "1")
    (plain,) = Table([name], crops=True, threshold=0.5).lines(result)
    assert "\x1b" not in plain

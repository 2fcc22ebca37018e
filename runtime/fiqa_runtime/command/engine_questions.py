"""What ``fiqa-score`` tells about an engine: whether it gives the right values here, and where and how it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from fiqa_runtime.backends import device_lines, devices_here
from fiqa_runtime.command.photo_setup import opener_for
from fiqa_runtime.command.settings import EngineSettings, FaceSettings
from fiqa_runtime.errors import VerdictError
from fiqa_runtime.rows.pictures import Pictures
from fiqa_runtime.scoring.agreement import json_number
from fiqa_runtime.scoring.selftest import self_test
from fiqa_runtime.system.files import sha256_of
from fiqa_runtime.terminal.outputs import write_json


def show_self_test(engine: EngineSettings, json: str | None) -> None:
    """``--self-test``: re-score the card's canaries; raises VerdictError where they are too far off."""
    with engine.open() as scorer:
        result, path = self_test(scorer), scorer.path
    if json:
        largest = {name: json_number(value) for name, value in result.largest.items()}
        told = {"engine": str(path), "sha256": sha256_of(path), "passed": result.passed, "images": result.images}
        write_json({**told, "max_abs": largest}, json, "fiqa-score-self-test.v1")
    if not result.passed:
        raise VerdictError(f"{result}; export the artefact again on this machine, or choose another --backend")
    if not json:
        sys.stdout.write(f"{result}\n")


def show_choice(
    engine: EngineSettings,
    json: str | None,
    files: Sequence[Path],
    faces: FaceSettings,
    pictures: Pictures,
    asked: tuple[int | None, bool] = (None, False),
) -> None:
    """``--explain``: say which backend is used here and why, of photos which way they are scored, and which devices
    there are."""
    with engine.open() as scorer:
        path, choice = scorer.path, scorer.choice
        opener = opener_for(engine, faces, scorer, pictures) if files else None
        photos = opener.decide(files, asked, always=True) if opener else None
    assert choice
    if json:
        told = {"engine": str(path), "sha256": sha256_of(path), **choice.as_json(), "devices": devices_here()}
        write_json(told | ({"photos": photos.as_json()} if photos else {}), json, "fiqa-score-explain.v1")
        return
    lines = [*choice.lines(), *(photos.lines() if photos else ()), *device_lines()]
    sys.stdout.writelines(f"{line}\n" for line in lines)

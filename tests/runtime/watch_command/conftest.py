"""A clip, and the command with a detector that knows who is in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fiqa_benchmarks.watch.clips import Truth
from fiqa_runtime.command.settings import FaceSettings
from fiqa_runtime.watch_cli import main

from tests.help.commands import Invoke, invoker
from tests.help.live.clips import TrueFaces, short_clip


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[Truth]]]:
    path = tmp_path_factory.mktemp("clips") / "clip.avi"
    return path, short_clip(path, 1.0, people=2)


@pytest.fixture
def clip(made: tuple[Path, list[list[Truth]]], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Thirty frames of two people; the detector of the command finds them where they truly are."""
    path, truths = made
    monkeypatch.setattr(FaceSettings, "open_detector", lambda *_: TrueFaces(truths))
    return path


@pytest.fixture
def watch(seeded_engine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """``fiqa-watch`` with an engine."""
    invoke = invoker(main, capsys, monkeypatch)
    return lambda *arguments: invoke(
        *arguments, *("--engine", seeded_engine, "--backend", "onnxruntime", "--threads", 1)
    )

"""Fixtures that every room of the runtime shares."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import pytest

from tests.help.commands import Invoke, invoker


@pytest.fixture(autouse=True)
def opencv_threads() -> Iterator[None]:
    """Commands and detectors set how many threads OpenCV has in this process."""
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


@pytest.fixture()
def score(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """`fiqa-score`, as typed."""
    import fiqa_runtime.cli

    return invoker(fiqa_runtime.cli.main, capsys, monkeypatch)

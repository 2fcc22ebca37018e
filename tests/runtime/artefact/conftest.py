"""Fixtures for artefacts and weight files: a machine without any, and a server on the loopback interface."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fiqa_runtime.system import download

from tests.help.samples.weight_file import FILE
from tests.help.servers.file_server import Origin, serving


@pytest.fixture
def empty_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights anywhere, a cache beside them, short pauses, small chunks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FIQA_WEIGHTS_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(download, "_CHUNK", 10_000)


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """Where a download ends up."""
    return tmp_path / "cache" / "fiqa-edge" / FILE


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A server that delivers one file as a test asks."""
    with serving() as running:
        yield running

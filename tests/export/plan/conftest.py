"""Fixtures for plans: a fake machine, and a workshop whose builder is the fake one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.help.gpu.fake_machine import Make, machines
from tests.help.gpu.plan_workshop import Open, workshops


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Builds fake machines with a GPU; their plans lie in `tmp_path`."""
    with machines(tmp_path, monkeypatch) as build:
        yield build


@pytest.fixture
def workshop(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Builds workshops: a fake machine with the builder half of TensorRT."""
    with workshops(make, tmp_path / "cache", monkeypatch) as build:
        yield build

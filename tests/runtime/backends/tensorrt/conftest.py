"""Fixtures for the TensorRT backend: a fake machine, under either package that drives CUDA, early and late."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.help.gpu.fake_machine import DRIVERS, Make, machines


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Builds fake machines with a GPU; their plans lie in `tmp_path`."""
    with machines(tmp_path, monkeypatch) as build:
        yield build


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    """Name of the package that drives CUDA."""
    return str(request.param)


@pytest.fixture(params=["late", "early"])
def schedule(request: pytest.FixtureRequest) -> str:
    """When the fake GPU does the work of its streams."""
    return str(request.param)

"""Fixtures for loading: a place for a checkpoint, and the entries of a whole one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.help.samples.checkpoints import State, seeded_state


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test writes its checkpoint."""
    return tmp_path / "file.pth"


@pytest.fixture
def state() -> State:
    """The state dict of eDifFIQA(T) under seeded weights, to be spoilt at will."""
    return dict(seeded_state())

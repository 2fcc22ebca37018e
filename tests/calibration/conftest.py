"""Fixtures of the calibration: a folder of crops."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.help.samples.calibration_folder import crops, save


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eighty crops from dark to light."""
    return save(tmp_path / "crops", crops(80))

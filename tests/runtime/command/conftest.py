"""Fixtures that tests of ``fiqa-score`` share."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest
from fiqa_runtime.images.seeded import seeded_image

COUNT = 9
"""Files in `mixed` that are called pictures."""


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Crops and a file that is none, which is refused in the middle; and one that is passed over."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for index in range(COUNT):
        cv2.imwrite(str(folder / f"{index}.png"), seeded_image(index, 112, 112))
    (folder / "4.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("no picture")
    return folder

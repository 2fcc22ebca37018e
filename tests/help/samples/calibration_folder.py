"""A folder of different crops from dark to light, and what is chosen from it by brightness."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from fiqa_calibration.candidates import folder_candidates
from fiqa_calibration.dataset import CalibrationSet, choose
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import seeded_image
from numpy.typing import NDArray

SPEC = MODELS["ediffiqa-t"].input
HEADS = MODELS["ifqa"].input
"""Takes square crops of any size."""


def brightness(images: Sequence[Image]) -> NDArray[np.float32]:
    return np.array([image.mean() for image in images], np.float32)


def crops(count: int, size: int = 112) -> list[Image]:
    """Different pictures whose mean rises from dark to light, one grey level per step or more."""
    return [(seeded_image(i, size, size) * (0.3 + 0.7 * i / count)).astype(np.uint8) for i in range(count)]


def save(folder: Path, images: Sequence[Image]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i, image in enumerate(images):
        cv2.imwrite(str(folder / f"{i:03}.png"), image)
    return folder


def chosen_from(folder: Path, count: int = 40) -> CalibrationSet:
    return choose(folder_candidates(folder), SPEC, brightness, count)

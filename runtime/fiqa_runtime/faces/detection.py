"""A face as a detector finds it, and what every detector offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.images.preprocess import Image


@dataclass(frozen=True, eq=False)
class Detection:
    """One face. Coordinates are pixels of the photo, pixel centres at integers; boxes may reach beyond it."""

    box: NDArray[np.float32]
    """x, y of the top left corner, width, height."""
    landmarks: NDArray[np.float32]
    """(5, 2) x, y: right eye, left eye, nose tip, right mouth corner, left mouth corner of the subject."""
    confidence: float
    """The detector's score, 0..1."""


def intersection_over_union(box: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Overlap (N,) of `box` (4,) with each of `others` (N, 4), boxes as x, y, width, height; 0..1.

    It is 0 where neither box has an area, and where a number is not finite.
    """
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    union = box[2:].prod() + others[:, 2:].astype(np.float64).prod(axis=1) - common
    return np.asarray(np.nan_to_num(common / np.where(union == 0, 1, union)), np.float64)


class FaceFinder(Protocol):
    """Whatever finds faces in photos: a detector of ours or of your own."""

    def detect(self, image: Image) -> list[Detection]:
        """The faces of a uint8 BGR photo (H, W, 3), highest confidence first; an empty list where there is none."""


def finder_settings(finder: FaceFinder) -> dict[str, Any]:
    """What results say of `finder`: its `name` where it has one, else its class, and its own `settings` if any."""
    name = str(getattr(finder, "name", type(finder).__name__))
    return {"detector": name, **getattr(finder, "settings", {})}

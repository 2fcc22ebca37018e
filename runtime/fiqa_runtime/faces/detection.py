"""One face as a detector finds it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Detection:
    """One face. Coordinates are pixels of the photo, pixel centres at integers; boxes may reach beyond it."""

    box: NDArray[np.float32]
    """x, y of the top left corner, width, height."""
    landmarks: NDArray[np.float32]
    """(5, 2) x, y: right eye, left eye, nose tip, right mouth corner, left mouth corner of the subject."""
    confidence: float
    """The detector's score, 0..1."""

"""Near-copies of images, found by their thumbnails."""

from __future__ import annotations

import cv2
import numpy as np
from fiqa_runtime.images.preprocess import Image
from numpy.typing import NDArray

SIDE = 32
"""Thumbnails are SIDE x SIDE grey pixels, whatever the shape of the image."""
NEAR = 1.0
"""Thumbnails closer than this (root mean square, in grey levels 0..255) are copies of one picture.

Measured on 15 aligned faces: the same crop resized or saved again as JPEG 75 differs by up to 0.8; the first step of a
noise or JPEG ladder by 1.2 and more; two faces by 17 and more.
"""


class Thumbnails:
    """The thumbnails of up to `capacity` images, 4 KiB each."""

    def __init__(self, capacity: int) -> None:
        self._pixels = np.empty((capacity, SIDE * SIDE), np.float32)
        self._squares = np.empty(capacity, np.float32)
        self._count = 0

    def add(self, image: Image) -> bool:
        """Whether uint8 BGR `image` differs from all images added before; if it does, it is added."""
        new = _thumbnail(image)
        square = float(new @ new)
        known, squares = self._pixels[: self._count], self._squares[: self._count]
        distances = squares + square - 2 * (known @ new)
        if distances.size and distances.min() < NEAR**2 * new.size:
            return False
        self._pixels[self._count], self._squares[self._count] = new, square
        self._count += 1
        return True


def _thumbnail(image: Image) -> NDArray[np.float32]:
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).astype(np.float32)
    return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32).ravel() - 128

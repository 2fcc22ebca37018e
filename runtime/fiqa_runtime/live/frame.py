"""One frame of a stream, whatever its source gave: eight bits, three channels, a time that never runs back."""

from __future__ import annotations

import math
import time as clock
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image

STEP = 1 / 30
"""Seconds between two frames where the source does not say."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a stream."""

    index: int
    """Number of the frame in its source, from 0; frames that were dropped are counted too."""
    time: float
    """Seconds since the stream began: by a file's own time stamps, by the clock for a live source."""
    image: Image = field(repr=False)
    """uint8 BGR (H, W, 3)."""
    arrived: float = field(default_factory=clock.monotonic, repr=False)
    """When it was read, on :func:`time.monotonic`'s clock, from which latency is measured."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.image.shape[:2]
        return width, height


def as_bgr(picture: NDArray[np.generic] | None) -> Image:
    """A picture as cameras give it as uint8 BGR (H, W, 3).

    Grey, (H, W) or (H, W, 1), is replicated to three channels; a fourth channel is dropped; of 16 bits the upper eight
    are kept. Raises InputError for anything else, and for a picture without pixels.
    """
    if not isinstance(picture, np.ndarray) or picture.size == 0:
        raise InputError("a frame has no pixels; is the camera covered by another program?")
    if picture.dtype == np.uint16:
        picture = np.right_shift(np.asarray(picture, np.uint16), 8)
    elif picture.dtype != np.uint8:
        raise InputError(f"a frame has values of {picture.dtype}; give uint8, or uint16")
    image: Image = np.asarray(picture, np.uint8)
    if image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), np.uint8)
    if image.ndim == 3 and image.shape[2] == 4:
        return np.ascontiguousarray(image[:, :, :3])
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"a frame has shape {picture.shape}; give (H, W), or (H, W, C) with 1, 3 or 4 channels")
    return image


class Clock:
    """Mends time stamps: one that runs back, stands still or is not a number becomes the last one plus a usual step."""

    mended: int = 0
    """How many were changed."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._step = STEP

    def next(self, time: float) -> float:
        """`time` in seconds, or what it is mended to."""
        if self._last is None:
            self._last = time if math.isfinite(time) else 0.0
            self.mended += not math.isfinite(time)
            return self._last
        step = time - self._last
        if math.isfinite(step) and step > 0:
            self._step = min(step, 1.0)
        else:
            self.mended += 1
            time = self._last + self._step
        self._last = time
        return time


class Pace:
    """Leaves out frames that come faster than `most` in a second of their own time."""

    def __init__(self, most: float | None) -> None:
        self._between = 0.0 if most is None else 1 / most
        self._due = -math.inf

    def lets_by(self, time: float) -> bool:
        """Whether the frame at `time` is taken."""
        if time < self._due - 1e-6:
            return False
        begin = self._due if self._due > time - self._between else time
        self._due = begin + self._between
        return True

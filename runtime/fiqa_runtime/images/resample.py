"""Resizes that OpenCV does not have: Pillow's anti-aliased 8-bit one, bit for bit, and adaptive averaging.

Pillow's takes two passes, horizontal first (as Pillow up to 12 does), with fixed-point weights of 22 bits and rounding
to 8 bit after each pass. Source: the arithmetic as written down in the eDifFIQA spec; checked against Pillow by a test.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Filter = Literal["bilinear", "bicubic"]
_BITS = 22
_ROWS = 128
"""Rows of a photo that are in float64 at once."""


def pillow_resize(image: NDArray[np.uint8], height: int, width: int, kind: Filter) -> NDArray[np.uint8]:
    """uint8 (H, W, C) -> uint8 (height, width, C); an axis whose length does not change is left alone."""
    if image.shape[1] != width:
        weights = _weights(image.shape[1], width, kind)
        blocks = (image[row : row + _ROWS] for row in range(0, len(image), _ROWS))
        image = np.concatenate([_apply(block, weights, axis=1) for block in blocks])
    if image.shape[0] != height:
        image = _apply(image, _weights(image.shape[0], height, kind), axis=0)
    return image


def _apply(image: NDArray[np.uint8], weights: NDArray[np.float64], axis: int) -> NDArray[np.uint8]:
    # Integers below 2**53: the float64 product is exact.
    total = np.moveaxis(np.tensordot(weights, image.astype(np.float64), axes=(1, axis)), 0, axis)
    pixels: NDArray[np.uint8] = np.clip(np.floor((total + 2 ** (_BITS - 1)) / 2**_BITS), 0, 255).astype(np.uint8)
    return pixels


@lru_cache(maxsize=4)
def _weights(source: int, target: int, kind: Filter) -> NDArray[np.float64]:
    """(target, source) matrix of weights times 2**22, rounded half away from zero."""
    scale = source / target
    stretch = max(scale, 1.0)
    support = stretch * (1 if kind == "bilinear" else 2)
    matrix = np.zeros((target, source))
    for row in range(target):
        centre = (row + 0.5) * scale
        first, end = max(0, int(centre - support + 0.5)), min(source, int(centre + support + 0.5))
        x = np.abs(np.arange(first, end) - centre + 0.5) / stretch
        values = np.maximum(0, 1 - x) if kind == "bilinear" else _cubic(x)
        fixed = values / values.sum() * 2**_BITS
        matrix[row, first:end] = np.trunc(fixed + np.copysign(0.5, fixed))
    return matrix


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


class AreaSums:
    """A picture of which any part can be shrunk or enlarged by adaptive averaging, at a cost that grows with the result
    alone.

    Pixel i of an axis of n pixels that becomes m is the mean over the source pixels from floor(i * n / m) to
    ceil((i + 1) * n / m), as in PyTorch's adaptive average pooling. OpenCV's INTER_AREA weights the pixels of the rim.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        """`image` is uint8 (H, W, C)."""
        self.size: tuple[int, int] = image.shape[0], image.shape[1]
        self._sums = np.asarray(cv2.integral(image, sdepth=cv2.CV_64F), np.float64)

    def resized(
        self, height: int, width: int, top: int = 0, left: int = 0, bottom: int | None = None, right: int | None = None
    ) -> NDArray[np.float32]:
        """float32 (height, width, C) of the rows `top` to `bottom` and the columns `left` to `right`, both ends
        exclusive; without them the whole picture. The part has at least one pixel."""
        rows, columns = self.size
        first, last = _cells(top, rows if bottom is None else bottom, height)
        low, high = _cells(left, columns if right is None else right, width)
        upper, lower = self._sums[first], self._sums[last]
        total = lower[:, high] - lower[:, low] - upper[:, high] + upper[:, low]
        area = (last - first)[:, None] * (high - low)[None, :]
        return np.asarray(total / area[:, :, None], np.float32)


def area_resize(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.float32]:
    """uint8 (H, W, C) -> float32 (height, width, C) by adaptive averaging, see :class:`AreaSums`."""
    return AreaSums(image).resized(height, width)


def _cells(start: int, end: int, count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First pixel of each of `count` cells over the pixels `start` to `end`, and the one behind its last."""
    size, index = end - start, np.arange(count)
    return start + index * size // count, start - (-(index + 1) * size // count)

"""The crops that DSL-FIQA takes of a picture, and the vector that tells the network which landmarks a crop shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.errors import InputError

CROP = 384
"""Side of a crop in pixels."""
SEED = 20
"""The authors' seed."""
SLOTS = 500
"""Length of the landmark vector."""
LANDMARKS = 68
"""Landmarks of a face in the usual order."""

Offset = tuple[int, int]
Landmarks = NDArray[np.floating]


def crop_stream(seed: int = SEED) -> np.random.RandomState:
    """The stream that offsets are drawn from: NumPy's legacy MT19937, the same numbers in every version.

    A new stream for every picture makes scores independent of order; one stream over a list of pictures
    reproduces the authors' script, whose scores depend on how many pictures came before.
    """
    return np.random.RandomState(seed)


def crop_offsets(height: int, width: int, crops: int, stream: np.random.RandomState) -> list[Offset]:
    """The (top, left) of each of `crops` crops, drawn from `stream`: 0 <= top < height - 384, and likewise for left.

    Raises InputError where a side is shorter than 385 pixels.
    """
    if min(height, width) <= CROP:
        raise InputError(
            f"a picture of {width} x {height} is too small for crops of {CROP} pixels; bring it to 512 x 512"
        )
    return [(int(stream.randint(0, height - CROP)), int(stream.randint(0, width - CROP))) for _ in range(crops)]


def cut(image: NDArray[np.uint8], offsets: Sequence[Offset]) -> list[NDArray[np.uint8]]:
    """Views of `image` (H, W, 3), each 384 x 384."""
    return [image[top : top + CROP, left : left + CROP] for top, left in offsets]


def check_landmarks(points: NDArray[Any]) -> NDArray[np.float32]:
    """`points` as float32 (L, 2); raises InputError unless they are finite numbers, x first."""
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or points.dtype.kind not in "fiu":
        raise InputError(f"landmarks are an array of shape {points.shape}; give numbers of shape (68, 2), x first")
    if not np.isfinite(points).all():
        raise InputError("landmarks hold values that are not finite; give those of a face, shape (68, 2), x first")
    return np.asarray(points, np.float32)


def visible_landmarks(landmarks: Landmarks, offset: Offset) -> list[int]:
    """Ascending indices of the `landmarks` (L, 2) that lie in the crop at `offset`; its four borders belong to it.

    Landmarks are (x, y) in pixels of the picture.
    """
    top, left = offset
    x, y = landmarks[:, 0], landmarks[:, 1]
    inside = (top <= y) & (y <= top + CROP) & (left <= x) & (x <= left + CROP)
    return [int(i) for i in np.flatnonzero(inside)]


def all_visible(landmarks: Landmarks, offsets: Sequence[Offset]) -> bool:
    """Whether every crop shows every landmark, so that one landmark vector serves them all."""
    return all(len(visible_landmarks(landmarks, offset)) == len(landmarks) for offset in offsets)


def landmark_vector(visible: Sequence[int], landmarks: int = LANDMARKS) -> NDArray[np.float32]:
    """Indices of the visible ones among `landmarks` -> float32 (500,) in [-1, 1], the network's second input.

    It is computed in float64, then rounded. Raises InputError for 500 visible landmarks or more; the authors'
    script chooses some of them at random.
    """
    if len(visible) >= SLOTS:
        raise InputError(f"{len(visible)} visible landmarks are too many; give fewer than {SLOTS}, usually 68")
    slots = np.full(SLOTS, landmarks + 1, np.float64)
    slots[: len(visible)] = visible
    low = slots.min()
    vector: NDArray[np.float32] = ((slots - low) / (slots.max() - low + 1e-6) * 2 - 1).astype(np.float32)
    return vector

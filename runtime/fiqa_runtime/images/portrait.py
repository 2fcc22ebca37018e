"""From a face box to the upright 512 x 512 picture and the 68 landmarks that DSL-FIQA is made for.

The steps are those of DSL-FIQA's landmark script, which runs FaceXFormer twice; the box may come from any detector,
where the script takes MTCNN's. Other detectors frame the face differently, so only scores with MTCNN's boxes can be
compared with published ones.
Pillow's resize and rotation are reproduced to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image, check_image
from fiqa_runtime.images.resample import pillow_resize

SIDE = 512
"""Side of the picture that is scored."""
LANDMARK_SIDE = 224
"""Side of the input from which the landmarks of the scored picture are taken."""
MARGIN = 80.0
"""Per cent of the box added on each side, unless asked otherwise; the authors also use 100."""

Landmarker = Callable[[Image], NDArray[np.float32]]
"""FaceXFormer with its normalisation: square uint8 BGR image of its input size -> its 136 outputs, any shape."""

_LEFT_EYE, _RIGHT_EYE = 38, 47
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def upright_portrait(image: Image, box: Sequence[float], landmarker: Landmarker, margin: float = MARGIN) -> Image:
    """The face in `box` of uint8 BGR `image` (H, W, 3) -> uint8 BGR (512, 512, 3) with level eyes.

    `box` is (left, top, right, bottom) in pixels, `landmarker` takes 512 x 512. Crops need not be square.
    Raises InputError where the box lies outside the image.
    """
    check_image(image)
    left, top, right, bottom = crop_bounds(box, image.shape[0], image.shape[1], margin)
    crop = pillow_resize(image[top:bottom, left:right], SIDE, SIDE, "bicubic")
    points = to_pixels(landmarker(crop), SIDE)
    return rotate(darken(crop), roll_angle(points[_LEFT_EYE], points[_RIGHT_EYE]))


def portrait_landmarks(picture: Image, landmarker: Landmarker) -> NDArray[np.float32]:
    """Landmarks of an uint8 BGR `picture` in pixels of 512 x 512: float32 (68, 2), x first.

    `landmarker` takes 224 x 224. The scaling leaves them 0.64 pixels low, as DSL-FIQA was trained.
    """
    check_image(picture)
    small = pillow_resize(picture, LANDMARK_SIDE, LANDMARK_SIDE, "bicubic")
    points = to_pixels(landmarker(small), LANDMARK_SIDE)
    landmarks: NDArray[np.float32] = points * np.float32(SIDE / LANDMARK_SIDE)
    return landmarks


def crop_bounds(box: Sequence[float], height: int, width: int, margin: float) -> tuple[int, int, int, int]:
    """`box` grown by `margin` per cent of its size on each side, clipped, in whole pixels.

    Both are (left, top, right, bottom), the last two exclusive. Raises InputError where nothing of an image
    of `height` x `width` is left.
    """
    left, top, right, bottom = (float(v) for v in box)
    wide, high = (right - left) * margin / 100, (bottom - top) * margin / 100
    bounds = (
        int(max(left - wide, 0)),
        int(max(top - high, 0)),
        int(min(right + wide, width)),
        int(min(bottom + high, height)),
    )
    if bounds[0] >= bounds[2] or bounds[1] >= bounds[3]:
        raise InputError(
            f"no part of the face box {left:g}, {top:g}, {right:g}, {bottom:g} lies in the image of "
            f"{width} x {height}; give left, top, right, bottom in pixels"
        )
    return bounds


def to_pixels(outputs: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """FaceXFormer's 136 outputs -> float32 (68, 2), x first, in pixels of its square input of `side`."""
    points = np.asarray(outputs, np.float32).reshape(68, 2)
    one, size = np.float32(1), np.float32(side)
    pixels: NDArray[np.float32] = ((points + one) * size - one) / np.float32(2)
    return pixels


def roll_angle(left: Sequence[float] | NDArray[np.float32], right: Sequence[float] | NDArray[np.float32]) -> float:
    """Degrees to rotate counter-clockwise so that the eye points `left` and `right` (x, y) become level.

    As published, the size of the slope counts, and the sign comes from the height of the left point alone.
    """
    dx, dy = abs(float(left[0]) - float(right[0])), abs(float(left[1]) - float(right[1]))
    left_is_lower = float(left[1]) > float(right[1])
    if dx == 0:
        return -90.0 if left_is_lower else 0.0
    angle = math.degrees(math.atan(dy / dx))
    return -angle if left_is_lower else angle


def rotate(image: Image, degrees: float) -> Image:
    """`image` (H, W, C) turned counter-clockwise about its centre: nearest neighbour, black corners.

    Pillow's arithmetic: the inverse map in fixed point of 16 fractional bits, sampled at pixel centres.
    """
    height, width = image.shape[:2]
    angle = -math.radians(degrees % 360.0)
    cos, sin = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x_centre, y_centre = width / 2, height / 2
    x_start = cos * -x_centre + sin * -y_centre + x_centre
    y_start = -sin * -x_centre + cos * -y_centre + y_centre
    columns, rows = np.arange(width), np.arange(height)[:, None]
    x = (_fixed(x_start + (cos + sin) / 2) + _fixed(cos) * columns + _fixed(sin) * rows) >> 16
    y = (_fixed(y_start + (cos - sin) / 2) + _fixed(-sin) * columns + _fixed(cos) * rows) >> 16
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    turned = np.zeros_like(image)
    turned[inside] = image[y[inside], x[inside]]
    return turned


def _fixed(value: float) -> int:
    return math.floor(value * 65536 + 0.5)


def darken(image: Image) -> Image:
    """A uint8 BGR image after it was normalised and converted back with truncation: some dark values are one lower."""
    return np.stack([table[image[..., c]] for c, table in enumerate(_round_trip())], axis=-1)


@lru_cache(maxsize=1)
def _round_trip() -> tuple[NDArray[np.uint8], ...]:
    """What each of 256 values becomes, for blue, green and red."""
    values = np.arange(256, dtype=np.float32) / np.float32(255)
    tables = []
    for mean, std in zip(np.asarray(_MEAN, np.float32), np.asarray(_STD, np.float32), strict=True):
        back = (values - mean) / std * std + mean
        tables.append((np.clip(back, 0, 1) * 255).astype(np.uint8))
    return tuple(tables[::-1])

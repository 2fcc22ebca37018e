"""Pictures of scores: boxes, landmarks and numbers drawn on a photo, and quality maps in colour."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.faces.face_quality import Face
from fiqa_runtime.images.preprocess import Image, check_image

_ACCEPTED, _REJECTED = (90, 230, 70), (60, 60, 235)
_POINT = (60, 200, 255)
_DARK = (20, 20, 20)
_WHITE = (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SMALLEST_TEXT = 10
"""Height of a digit in pixels below which nobody reads it."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""


def draw_faces(photo: Image, faces: Sequence[Face], threshold: float | None = None) -> Image:
    """A copy of a uint8 BGR photo with each face's box, five landmarks and quality (three decimals).

    A box is green, or red where the quality is below `threshold`. Lines and numbers grow with the photo; every number
    is white on dark, inside the photo and, where there is room, beside its box and clear of the other numbers.
    """
    check_image(photo)
    picture: Image = photo.copy()
    width = max(round(max(photo.shape[:2]) / 400), 1)
    for face in faces:
        left, top, right, bottom = _corners(face)
        accepted = threshold is None or face.quality >= threshold
        for colour, line in ((_DARK, width + 2), (_ACCEPTED if accepted else _REJECTED, width)):
            cv2.rectangle(picture, (left, top), (right, bottom), colour, line, cv2.LINE_AA)
        radius = max(round(float(face.box[2]) / 80), 1)
        for x, y in np.rint(face.landmarks).astype(int).tolist():
            cv2.circle(picture, (x, y), radius + 1, _DARK, cv2.FILLED, cv2.LINE_AA)
            cv2.circle(picture, (x, y), radius, _POINT, cv2.FILLED, cv2.LINE_AA)
    labels: list[Box] = []
    for face in faces:
        labels.append(_draw_label(picture, f"{face.quality:.3f}", _corners(face), labels))
    return picture


def map_picture(quality_map: NDArray[np.floating]) -> Image:
    """A per-pixel quality map (H, W) in 0..1 as uint8 BGR (H, W, 3): dark violet is 0, yellow is 1 (viridis).

    The scale is absolute, never stretched to the map, and values are cut to 8 bits, not rounded: the picture
    that IFQA's official script writes.
    """
    grey = (np.clip(quality_map, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.applyColorMap(grey, cv2.COLORMAP_VIRIDIS), np.uint8)


def beside(photo: Image, picture: Image) -> Image:
    """Photo at the left, its map picture stretched to the same size at the right, uint8 BGR.

    Both get the photo's proportions and the height of the higher one; shapes (H, W, 3) -> (H', 2 W', 3).
    """
    check_image(photo)
    check_image(picture)
    height = max(photo.shape[0], picture.shape[0])
    size = max(round(photo.shape[1] * height / photo.shape[0]), 1), height
    return np.hstack([np.asarray(cv2.resize(part, size), np.uint8) for part in (photo, picture)])


def with_scale(picture: Image) -> Image:
    """`picture`, uint8 BGR (H, W, 3), above a bar that shows the colours of :func:`map_picture` from 0 to 1."""
    width = picture.shape[1]
    bar = map_picture(np.tile(np.linspace(0, 1, width), (max(width // 24, 12), 1)))
    height = max(width // 16, 16)
    words = np.full((height, width, 3), _DARK, np.uint8)
    scale = height / 34
    (last, _), _ = cv2.getTextSize("quality 1", _FONT, scale, 1)
    line = height * 2 // 3
    cv2.putText(words, "0", (2, line), _FONT, scale, _WHITE, 1, cv2.LINE_AA)
    cv2.putText(words, "quality 1", (width - last - 2, line), _FONT, scale, _WHITE, 1, cv2.LINE_AA)
    return np.vstack([picture, bar, words])


def _draw_label(picture: Image, text: str, box: Box, taken: Sequence[Box]) -> Box:
    """Write `text` by `box` on `picture`; returns the area that it covers."""
    scale, weight, ascent, size = _text_size(text, picture.shape)
    left, top, right, bottom = _place(size, box, picture.shape, taken)
    cv2.rectangle(picture, (left, top), (right - 1, bottom - 1), _DARK, cv2.FILLED)
    margin = (size[1] - ascent) // 2
    origin = (left + margin, bottom - 1 - margin)
    cv2.putText(picture, text, origin, _FONT, scale, _WHITE, weight, cv2.LINE_AA)
    return left, top, right, bottom


def _text_size(text: str, shape: tuple[int, ...]) -> tuple[float, int, int, tuple[int, int]]:
    """Font scale, stroke weight, height of the digits, and width and height of the label around them."""
    height = max(max(shape[:2]) / 45, _SMALLEST_TEXT)
    (unit_width, unit_height), _ = cv2.getTextSize(text, _FONT, 1.0, 1)
    scale = min(height / unit_height, 0.9 * shape[1] / unit_width)
    weight = max(round(scale * 1.5), 1)
    (text_width, ascent), _ = cv2.getTextSize(text, _FONT, scale, weight)
    margin = max(ascent // 3, 1)
    return scale, weight, ascent, (text_width + 2 * margin, ascent + 2 * margin)


def _place(size: tuple[int, int], box: Box, shape: tuple[int, ...], taken: Sequence[Box]) -> Box:
    """The first free place among: above the box, below it, inside at its top, inside at its bottom."""
    width, height = size
    places = []
    for top in (box[1] - height, box[3], box[1], box[3] - height):
        y = min(max(top, 0), max(shape[0] - height, 0))
        x = min(max(box[0], 0), max(shape[1] - width, 0))
        places.append((y != top, (x, y, x + width, y + height)))
    in_order = [place for _, place in sorted(places, key=lambda place: place[0])]
    free = (place for place in in_order if not any(_overlap(place, other) for other in taken))
    return next(free, in_order[0])


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _corners(face: Face) -> Box:
    x, y, width, height = (float(v) for v in face.box)
    return round(x), round(y), round(x + width), round(y + height)

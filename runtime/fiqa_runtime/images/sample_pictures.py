"""The pictures that are degraded where a user gives none: `portrait.png` in several framings.

It shows the head of Eileen Collins, NASA 1999, in the public domain.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import read_image

PORTRAIT = Path(__file__).with_name("portrait.png")
FRAMINGS = (
    (False, 1.0, 0.0),
    (True, 1.0, 0.0),
    (False, 1.15, 6.0),
    (True, 0.9, -6.0),
    (False, 0.9, -10.0),
    (True, 1.15, 10.0),
    (False, 1.3, -3.0),
    (True, 1.3, -8.0),
)
"""Ways to show the portrait: whether it is mirrored, the factor it is enlarged by, and the degrees it is turned by,
counter-clockwise."""


def default_pictures(count: int = 1) -> list[Image]:
    """The portrait that comes along in the first `count` of FRAMINGS, uint8 BGR (256, 256, 3)."""
    portrait = read_image(PORTRAIT)
    return [_framed(portrait, *framing) for framing in FRAMINGS[:count]]


def _framed(picture: Image, mirrored: bool, closer: float, tilt: float) -> Image:
    """`picture` mirrored, enlarged and turned about its middle; beyond its edge the pixels of the edge are repeated."""
    height, width = picture.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), tilt, closer)
    picture = np.asarray(cv2.flip(picture, 1) if mirrored else picture, np.uint8)
    return np.asarray(cv2.warpAffine(picture, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def resized(picture: Image, height: int, width: int) -> Image:
    """`picture` as uint8 BGR (height, width, 3), by the mean over areas."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

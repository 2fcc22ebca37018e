"""The images on which a conversion is judged: seeded ones, and photos or crops degraded step by step.

Where the user gives no images the degraded picture is `portrait.png`: the head of Eileen Collins, NASA 1999, in the
public domain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.system.spread import evenly

from fiqa_calibration.candidates import fits, wanted
from fiqa_calibration.cropper import Cropper
from fiqa_calibration.ladder import ALL, KINDS, Rung, ladders

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
MOST_PHOTOS = 32
"""Most pictures of a folder that are degraded, evenly spread over it; they give 1152 images."""
RUNGS = 1 + len(KINDS) * len(ALL)
"""Images that one picture gives at all strengths."""


@dataclass(frozen=True)
class ParitySet:
    """The images of a parity check: seeded images first, then ladders."""

    seeded: int
    """Number of seeded images; their indices are 0, 1, ..."""
    pictures: Sequence[Image]
    """What is degraded: uint8 BGR crops (H, W, 3), of any size."""
    size: tuple[int, int]
    """Height and width of the seeded images and of the ladders' pictures."""
    strengths: Sequence[int] = ALL
    """Strengths of the ladders."""
    left_out: tuple[str, ...] = ()
    """Names of the user's pictures that could not be used."""

    def __len__(self) -> int:
        return self.seeded + (1 + len(KINDS) * len(self.strengths)) * len(self.pictures)

    def __iter__(self) -> Iterator[tuple[Image, Rung | None]]:
        """uint8 BGR images one at a time, each with what was done to it (None: seeded)."""
        height, width = self.size
        for index in range(self.seeded):
            yield seeded_image(index, height, width), None
        pictures = (resized(picture, height, width) for picture in self.pictures)
        for rung, image in ladders(pictures, self.strengths):
            yield image, rung


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


def squared(picture: Image) -> Image:
    """`picture` (H, W, 3), uint8 BGR, made square with black at the bottom or right, as the runtime pads what a
    detector gets."""
    height, width = picture.shape[:2]
    side = max(height, width)
    return np.asarray(cv2.copyMakeBorder(picture, 0, side - height, 0, side - width, cv2.BORDER_CONSTANT), np.uint8)


def folder_pictures(folder: Path, spec: InputSpec) -> tuple[list[Image], tuple[str, ...]]:
    """Crops for the network of `spec` from at most MOST_PHOTOS crops or photos in `folder`.

    :class:`Cropper` cuts them out. Pictures that cannot be read, show no face, or have a shape that the network cannot
    use are left out; the second result names them. Raises InputError where no picture is left, FetchError where photos
    need a detector that is not on this machine.
    """
    paths = find_images([folder])
    crop = Cropper(spec)
    pictures, left_out, first_problem = [], [], None
    for index in evenly(MOST_PHOTOS, len(paths)):
        try:
            picture = crop(paths[index])
            if not fits(picture, spec):
                height, width = picture.shape[:2]
                raise InputError(f"{paths[index].name} has {width} x {height} pixels")
            pictures.append(picture)
        except InputError as error:
            left_out.append(paths[index].name)
            first_problem = first_problem or error
    if not pictures:
        raise InputError(
            f"no picture in {folder} shows a face or is a crop for this network ({first_problem}); give {wanted(spec)}"
        )
    return pictures, tuple(left_out)


def resized(picture: Image, height: int, width: int) -> Image:
    """`picture` as uint8 BGR (height, width, 3), by the mean over areas."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

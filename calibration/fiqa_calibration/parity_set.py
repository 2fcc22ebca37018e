"""The images on which a conversion is judged: seeded ones, and photos or crops degraded step by step.

Where the user gives no images, the portrait that comes along is degraded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.ladder import ALL, KINDS, Rung, ladders
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import find_images
from fiqa_runtime.images.sample_pictures import resized
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.system.spread import evenly

from fiqa_calibration.candidates import fits, wanted
from fiqa_calibration.cropper import Cropper

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

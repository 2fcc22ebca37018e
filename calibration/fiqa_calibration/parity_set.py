"""The images on which a conversion is judged: seeded ones, and photos or crops degraded step by step.

Without images of the user's the degraded picture is `portrait.png`: the head of Eileen Collins, NASA 1999, in the
public domain.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from fiqa_runtime.align import arcface_crop, ffhq_crop
from fiqa_runtime.detector import Detector
from fiqa_runtime.errors import InputError
from fiqa_runtime.images import find_images, read_image
from fiqa_runtime.preprocess import Image
from fiqa_runtime.seeded import seeded_image
from fiqa_runtime.spec import InputSpec

from fiqa_calibration.candidates import evenly, fits, wanted_size
from fiqa_calibration.ladder import KINDS, STRENGTHS, Rung, ladders

PORTRAIT = Path(__file__).with_name("portrait.png")
MOST_PHOTOS = 32
"""Pictures of a folder that are degraded, evenly spread over it: 1152 images."""
RUNGS = 1 + len(KINDS) * STRENGTHS
"""Images that one picture gives."""


@dataclass(frozen=True)
class ParitySet:
    """Seeded images first, then ladders."""

    seeded: int
    """Seeded images, of indices 0, 1, ..."""
    pictures: Sequence[Image]
    """What is degraded: uint8 BGR crops (H, W, 3), of any size."""
    size: tuple[int, int]
    """Height and width of the seeded images and of the ladders' pictures."""

    def __len__(self) -> int:
        return self.seeded + RUNGS * len(self.pictures)

    def __iter__(self) -> Iterator[tuple[Image, Rung | None]]:
        """uint8 BGR images one at a time, each with what was done to it (None: seeded)."""
        height, width = self.size
        for index in range(self.seeded):
            yield seeded_image(index, height, width), None
        for rung, image in ladders(resized(picture, height, width) for picture in self.pictures):
            yield image, rung


def default_pictures() -> list[Image]:
    """The portrait that comes along, uint8 BGR (256, 256, 3)."""
    return [read_image(PORTRAIT)]


def folder_pictures(folder: Path, spec: InputSpec) -> list[Image]:
    """Crops for the network of `spec` from at most MOST_PHOTOS crops or photos in `folder`.

    A picture in the shape of the network's input is taken as it is; in any other the face that YuNet is surest of is
    cut out as `spec.framing` says. Pictures that cannot be read or show no face are left out. Raises InputError where
    none is left, FetchError where photos need a detector that is not here.
    """
    paths = find_images([folder])
    crop = _Cropper(spec)
    pictures, first_problem = [], None
    for index in evenly(MOST_PHOTOS, len(paths)):
        try:
            pictures.append(crop(paths[index]))
        except InputError as error:
            first_problem = first_problem or error
    if not pictures:
        raise InputError(
            f"no picture in {folder} shows a face or is a crop for this network ({first_problem}); "
            f"give photos with a face, or {wanted_size(spec)}"
        )
    return pictures


class _Cropper:
    def __init__(self, spec: InputSpec) -> None:
        self._spec = spec
        self._detector: Detector | None = None

    def __call__(self, path: Path) -> Image:
        picture = read_image(path)
        if self._spec.framing not in ("arcface-112", "ffhq") or fits(picture, self._spec):
            return picture
        self._detector = self._detector or Detector()
        faces = self._detector.detect(picture)
        if not faces:
            raise InputError(f"{path} shows no face")
        cut = ffhq_crop if self._spec.framing == "ffhq" else arcface_crop
        return cut(picture, faces[0].landmarks)


def resized(picture: Image, height: int, width: int) -> Image:
    """`picture` as uint8 BGR (height, width, 3), by the mean over areas."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)

"""The demo's photos: two in the public domain that Python packages bring, and a group picture made of them."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.images.ladder import degrade
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import rng
from fiqa_runtime.system.files import write_bytes

PHOTOS = {"skimage": "data/astronaut.png", "matplotlib": "mpl-data/sample_data/grace_hopper.jpg"}
"""Portraits of Eileen Collins (NASA) and Grace Hopper (US Navy) inside packages that the demo installs."""
SIDES = (190, 150, 110, 80)
"""Sides in pixels in which a person stands in the group picture, from the front row to the back."""
SPOILT: tuple[tuple[str, float], ...] = (
    ("blur", 0.0),
    ("blur", 0.45),
    ("noise", 0.5),
    ("jpeg", 0.7),
    ("darkening", 0.45),
    ("resampling", 0.3),
)
"""What is done to the copies, and how much (0..1), one after the other."""
COLUMNS, GAP, GREY = 6, 14, 118


def write_sample_photos(folder: Path) -> list[Path]:
    """Copies of the packages' photos in `folder`; raises DependencyError where a package is not installed."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for package, name in PHOTOS.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise DependencyError(f"{package}, which brings a photo, is not installed; pip install 'fiqa-edge[demo]'")
        source = Path(spec.origin).parent / name
        written.append(Path(shutil.copyfile(source, folder / source.name)))
    return written


def write_group_picture(photos: list[Path], quality: FaceQuality, path: Path) -> Path:
    """A picture of many: the head of the first face of each photo, in several sizes, whole and degraded in known ways.

    Raises InputError where a photo shows no face.
    """
    heads = []
    for photo in photos:
        image = read_image(photo)
        faces = quality.detector.detect(image)
        if not faces:
            raise InputError(f"the detector finds no face in {photo}; delete {photo.parent} and run the demo again")
        heads.append(_head(image, faces[0].box))
    rows = []
    person = cycle(heads)
    for side in SIDES:
        tiles = []
        for column, (kind, amount) in enumerate(SPOILT):
            tile = np.asarray(cv2.resize(next(person), (side, side), interpolation=cv2.INTER_AREA), np.uint8)
            tiles.append(degrade(tile, kind, amount, rng(f"demo:{side}:{column}"))[0])
        next(person)  # the other person begins the next row
        rows.append(_row(tiles, side))
    picture = np.vstack(rows)
    write_bytes(path, cv2.imencode(".png", picture)[1].tobytes())
    return path


def _head(image: Image, box: np.ndarray) -> Image:
    """The square of `image` around a face, twice as long as its box."""
    x, y, width, height = (float(value) for value in box)
    side = min(round(2 * max(width, height)), *image.shape[:2])
    left, top = (
        min(max(round(middle - side / 2), 0), length - side)
        for middle, length in ((x + width / 2, image.shape[1]), (y + height / 2, image.shape[0]))
    )
    return image[top : top + side, left : left + side]


def _row(tiles: list[Image], side: int) -> Image:
    """`tiles` in the middle of their places, which are as wide as in the row of the largest."""
    place = SIDES[0] + GAP
    row = np.full((side + GAP, COLUMNS * place + GAP, 3), GREY, np.uint8)
    for column, tile in enumerate(tiles):
        left = GAP + column * place + (SIDES[0] - side) // 2
        row[GAP // 2 : GAP // 2 + side, left : left + side] = tile
    return row

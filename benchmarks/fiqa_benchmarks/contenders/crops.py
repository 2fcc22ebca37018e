"""The images that a benchmark runs on."""

from __future__ import annotations

from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.system.spread import evenly

DYNAMIC_SIZE = 640
"""Height and width of the images for networks that take any size."""
MOST_IMAGES = 64


def seeded_crops(spec: InputSpec, count: int) -> list[Image]:
    """`count` seeded images (uint8 BGR) of the network's input size."""
    return [seeded_image(index, *_size(spec)) for index in range(count)]


def crop_files(folder: Path) -> list[Path]:
    """At most MOST_IMAGES images, evenly spread over `folder`; raises InputError where there are none."""
    files = find_images([folder])
    return [files[index] for index in evenly(MOST_IMAGES, len(files))]


def folder_crops(folder: Path, spec: InputSpec) -> list[Image]:
    """The images of :func:`crop_files`, uint8 BGR in their own size.

    For networks that take any size they are brought to one. Raises InputError where there are none, or where
    one is damaged.
    """
    images = [read_image(file) for file in crop_files(folder)]
    if spec.height is not None:
        return images
    height, width = _size(spec)
    return [np.asarray(cv2.resize(image, (width, height)), np.uint8) for image in images]


def crop_names(folder: Path | None, count: int) -> list[str]:
    """Names for the crops of `folder` in reports: their paths in it; or names for `count` seeded images."""
    if folder is None:
        return [f"seeded image {index}" for index in range(count)]
    return [file.relative_to(folder).as_posix() if folder.is_dir() else file.name for file in crop_files(folder)]


def fill(crops: list[Image], batch: int) -> list[Image]:
    """The first `batch` of the `crops`; where there are fewer, they are repeated."""
    return list(islice(cycle(crops), batch))


def _size(spec: InputSpec) -> tuple[int, int]:
    return spec.height or DYNAMIC_SIZE, spec.width or DYNAMIC_SIZE

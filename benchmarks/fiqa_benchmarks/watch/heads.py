"""Heads of real people for made-up clips: from photos that Python packages bring, or from a folder of photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.faces.detection import Detection, FaceFinder
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import read_image
from numpy.typing import NDArray

GROWN = 2.0
"""Side of the square around a face, in sides of its box."""
LEAST = 80
"""Pixels of the longer side of a face that makes a head: smaller ones have nothing to show when they come near."""
KNOWN: dict[tuple[str, str], tuple[Sequence[float], Sequence[Sequence[float]]]] = {
    ("skimage", "data/astronaut.png"): (
        (178.2, 62.9, 89.9, 113.3),
        ((200.1, 101.8), (247.1, 102.6), (220.4, 124.5), (198.6, 142.8), (239.7, 143.6)),
    ),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"): (
        (182.9, 120.5, 170.3, 212.5),
        ((227.1, 193.3), (307.8, 195.4), (266.5, 240.0), (228.5, 267.9), (302.2, 269.6)),
    ),
}
"""By package and file: box and landmarks of the face, as YuNet finds them."""


@dataclass(frozen=True, eq=False)
class Head:
    """A square picture of a head."""

    picture: Image
    """uint8 BGR (S, S, 3)."""
    box: NDArray[np.float64]
    """x, y, width, height (4,) of the face, in pixels of the picture."""
    landmarks: NDArray[np.float64]
    """(5, 2), in the order of a detection."""


def packaged_heads() -> list[Head]:
    """Eileen Collins (NASA) and Grace Hopper (US Navy), in the public domain; raises DependencyError where neither
    scikit-image nor Matplotlib is installed."""
    heads = []
    for (package, name), (box, landmarks) in KNOWN.items():
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            face = Detection(np.array(box, np.float32), np.array(landmarks, np.float32), 0.9)
            heads.append(_cut(read_image(Path(spec.origin).parent / name), face))
    if not heads:
        raise DependencyError("no package that brings a photo is installed; pip install matplotlib scikit-image")
    return heads


def heads_of(photos: Sequence[Path], finder: FaceFinder) -> list[Head]:
    """The surest face of each photo that is large enough; raises InputError where no photo has one."""
    heads = []
    for path in photos:
        image = read_image(path)
        faces = finder.detect(image)[:1]
        heads += [_cut(image, face) for face in faces if face.box[2:].max() >= LEAST]
    if not heads:
        raise InputError(f"none of the photos shows a face of {LEAST} pixels or more; name others")
    return heads


def _cut(image: Image, face: Detection) -> Head:
    """The square around `face`, filled by mirroring where the photo ends."""
    side = round(GROWN * float(face.box[2:].max()))
    left, top = np.round(face.box[:2] + face.box[2:] / 2 - side / 2).astype(int).tolist()
    bottom, right = max(top + side - image.shape[0], 0), max(left + side - image.shape[1], 0)
    padded = cv2.copyMakeBorder(image, max(-top, 0), bottom, max(-left, 0), right, cv2.BORDER_REFLECT_101)
    y, x = max(top, 0), max(left, 0)
    origin = np.array([left, top], np.float64)
    box = np.concatenate([face.box[:2] - origin, face.box[2:]]).astype(np.float64)
    return Head(np.asarray(padded[y : y + side, x : x + side], np.uint8), box, face.landmarks - origin)

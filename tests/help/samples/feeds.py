"""Mistakes of other people's preprocessing, written without ours, and crops that show them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from fiqa_runtime.images.resample import pillow_resize
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer

Image = np.ndarray
CROPS = 12


def write_crops(folder: Path) -> list[Path]:
    """Coloured blobs, larger than the network's input."""
    for index in range(CROPS):
        blobs = cv2.GaussianBlur(seeded_image(index, 160, 140), (0, 0), 2).astype(np.float32)
        levels = (blobs - 127) * (2 + index / 4) + np.array((90, 120, 160)) + 3 * index
        cv2.imwrite(str(folder / f"{index:02d}.png"), levels.clip(0, 255).astype(np.uint8))
    return sorted(folder.iterdir())


def rgb(image: Image) -> np.ndarray:
    """What the authors' script makes of a crop, in units of 0 to 1."""
    shares: np.ndarray = pillow_resize(image, 112, 112, "bilinear")[:, :, ::-1] / np.float32(255)
    return shares


def half(pixels: np.ndarray) -> np.ndarray:
    return (pixels - 0.5) / 0.5


def resized(interpolation: int) -> Callable[[Image], np.ndarray]:
    return lambda image: half(cv2.resize(image, (112, 112), interpolation=interpolation)[:, :, ::-1] / np.float32(255))


PLANTED: dict[str, tuple[Callable[[Image], np.ndarray], str]] = {
    "bgr": (lambda image: half(rgb(image)[:, :, ::-1]), "RGB and BGR swapped: BGR instead of RGB"),
    "raw": (lambda image: 255 * rgb(image), "normalisation missing: grey levels"),
    "unit": (rgb, "normalisation missing: only divided by 255"),
    "twice": (
        lambda image: half(half(rgb(image))),
        "normalisation doubled: mean and standard deviation twice, in units",
    ),
    "twice in grey levels": (
        lambda image: (half(rgb(image)) - 127.5) / 127.5,
        "normalisation doubled: mean and standard deviation twice, in grey",
    ),
    "twice divided": (lambda image: half(rgb(image) / 255), "normalisation doubled: divided by 255 twice"),
    "nearest": (resized(cv2.INTER_NEAREST), "wrong resize interpolation: OpenCV nearest"),
    "bilinear": (resized(cv2.INTER_LINEAR), "wrong resize interpolation: OpenCV bilinear"),
    "bicubic": (resized(cv2.INTER_CUBIC), "wrong resize interpolation: OpenCV bicubic"),
    "area": (resized(cv2.INTER_AREA), "wrong resize interpolation: OpenCV area"),
    "pillow": (
        lambda image: half(pillow_resize(image, 112, 112, "bicubic")[:, :, ::-1] / np.float32(255)),
        "wrong resize interpolation: Pillow bicubic",
    ),
}


def planted(scorer: Scorer, images: list[Image], pipeline: Callable[[Image], np.ndarray]) -> np.ndarray:
    """Scores of a pipeline written without ours."""
    blobs = [pipeline(image).astype(np.float32).transpose(2, 0, 1)[None] for image in images]
    return np.array([scorer.backend.run({"input": np.ascontiguousarray(blob)})["score"].item() for blob in blobs])

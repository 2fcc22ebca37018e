"""uint8 BGR crops -> network input, exactly as each network's official script does it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.errors import InputError
from fiqa_runtime.resample import pillow_resize
from fiqa_runtime.spec import InputSpec

Image = NDArray[np.uint8]
MULTIPLE = 32
"""Networks without a fixed input size take any multiple of this many pixels."""


def prepare(crops: Sequence[Image], spec: InputSpec) -> NDArray[np.float32]:
    """uint8 BGR crops (H, W, 3) of any size -> float32 (N, 3, H', W'), normalised, in the network's colour order.

    Raises InputError where a crop is not uint8 (H, W, 3), and where the crops differ in size although the network
    takes them as they are.
    """
    for crop in crops:
        check_image(crop)
    if spec.resize == "opencv-cubic-float":
        return _blob([_cubic_float(crop, spec) for crop in crops], spec)
    pixels = [to_network_size(crop, spec) for crop in crops]
    if len({p.shape for p in pixels}) > 1:
        raise InputError("images of one batch differ in size; score them one by one or resize them first")
    return normalise(_blob(pixels, spec), spec)


def to_network_size(crop: Image, spec: InputSpec) -> Image:
    """The 8-bit part of the preprocessing: `crop` resized, or padded at the bottom and right, as `spec` says."""
    height, width = crop.shape[:2]
    if spec.height is None or spec.width is None:
        bottom, right = -height % MULTIPLE, -width % MULTIPLE
        return _u8(cv2.copyMakeBorder(crop, 0, bottom, 0, right, cv2.BORDER_CONSTANT)) if bottom or right else crop
    if (height, width) == (spec.height, spec.width):
        return crop
    if spec.resize == "opencv-bilinear":
        return _u8(cv2.resize(crop, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR))
    if spec.resize == "pillow-bilinear":
        return pillow_resize(crop, spec.height, spec.width, "bilinear")
    if spec.resize == "pillow-bicubic":
        return pillow_resize(crop, spec.height, spec.width, "bicubic")
    raise InputError(f"expected a crop of {spec.width} x {spec.height} pixels, got {width} x {height}")


def normalise(blob: NDArray[np.float32], spec: InputSpec) -> NDArray[np.float32]:
    """(blob - mean) * (1 / std) per channel, in place, in float32; `blob` is NCHW in the network's colour order."""
    mean, scale = (np.asarray(v, np.float64) for v in (spec.mean, 1 / np.asarray(spec.std)))
    if mean.any():
        blob -= mean.astype(np.float32)[:, None, None]
    if (scale != 1).any():
        blob *= scale.astype(np.float32)[:, None, None]
    return blob


def check_image(image: Image) -> None:
    """Raise InputError unless `image` is uint8 of shape (H, W, 3) with at least one pixel."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InputError(
            f"expected a uint8 BGR image of shape (H, W, 3), got {image.dtype} {image.shape}; read it with cv2.imread"
        )


def _blob(images: Sequence[Image] | Sequence[NDArray[np.float32]], spec: InputSpec) -> NDArray[np.float32]:
    return np.asarray(cv2.dnn.blobFromImages(list(images), swapRB=spec.colour == "RGB"), np.float32)


def _cubic_float(crop: Image, spec: InputSpec) -> NDArray[np.float32]:
    order = slice(None, None, -1) if spec.colour == "RGB" else slice(None)
    mean, std = (np.asarray(v)[order] for v in (spec.mean, spec.std))
    floats = (crop.astype(np.float32) - mean.astype(np.float32)) * (1 / std).astype(np.float32)
    if crop.shape[:2] == (spec.height, spec.width) or spec.height is None or spec.width is None:
        return floats
    return np.asarray(cv2.resize(floats, (spec.width, spec.height), interpolation=cv2.INTER_CUBIC), np.float32)


def _u8(array: object) -> Image:
    return np.asarray(array, np.uint8)

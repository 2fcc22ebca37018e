"""uint8 BGR crops -> network input, exactly as each network's official script does it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.resample import area_resize, pillow_resize

Image = NDArray[np.uint8]
Channels = tuple[float, float, float]
FLOAT_RESIZES = ("opencv-cubic-float", "area-float")
"""Ways to resize whose results are not whole grey levels."""


def network_input(crops: Sequence[Image], spec: InputSpec) -> NDArray[np.float32] | NDArray[np.uint8]:
    """The graph's input for uint8 BGR crops (H, W, 3): what :func:`prepare` gives, or uint8 (N, H', W', 3) if
    ``spec.raw``.

    Raises InputError as :func:`prepare` does, and where a raw input would have to be resized in floating point.
    """
    if not spec.raw:
        return prepare(crops, spec)
    for crop in crops:
        check_image(crop)
        if spec.resize in FLOAT_RESIZES and crop.shape[:2] != (spec.height, spec.width):
            height, width = crop.shape[:2]
            raise InputError(
                f"this artefact takes crops of {spec.width} x {spec.height} pixels as they are, got {width} x {height};"
                " use one exported without --raw-input, which resizes as the authors do"
            )
    return np.stack(_equal([to_network_size(crop, spec) for crop in crops]))


def prepare(crops: Sequence[Image], spec: InputSpec) -> NDArray[np.float32]:
    """uint8 BGR crops (H, W, 3) of any size -> float32 (N, 3, H', W'), normalised, in the network's colour order.

    Raises InputError where a crop is not uint8 (H, W, 3), and where the crops differ in size although the network
    takes them as they are.
    """
    for crop in crops:
        check_image(crop)
    if spec.resize == "area-float" and spec.height is not None and spec.width is not None:
        return tensor([area_resize(crop, spec.height, spec.width) for crop in crops], spec)
    if spec.resize == "opencv-cubic-float":
        return _blob([_cubic_float(crop, spec) for crop in crops], spec)
    return tensor(_equal([to_network_size(crop, spec) for crop in crops]), spec)


def to_network_size(crop: Image, spec: InputSpec) -> Image:
    """The 8-bit part of the preprocessing: `crop` resized, or padded at the bottom and right, as `spec` says."""
    height, width = crop.shape[:2]
    if spec.height is None or spec.width is None:
        bottom, right = -height % spec.multiple, -width % spec.multiple
        return _u8(cv2.copyMakeBorder(crop, 0, bottom, 0, right, cv2.BORDER_CONSTANT)) if bottom or right else crop
    if (height, width) == (spec.height, spec.width):
        return crop
    if spec.resize == "opencv-bilinear":
        return _u8(cv2.resize(crop, (spec.width, spec.height), interpolation=cv2.INTER_LINEAR))
    if spec.resize == "pillow-bilinear":
        return pillow_resize(crop, spec.height, spec.width, "bilinear")
    if spec.resize == "pillow-bicubic":
        return pillow_resize(crop, spec.height, spec.width, "bicubic")
    raise InputError(f"expected a crop of {spec.width} x {spec.height} pixels, got {width} x {height}; resize it first")


def tensor(images: Sequence[Image | NDArray[np.float32]], spec: InputSpec) -> NDArray[np.float32]:
    """BGR images (H, W, 3) of one size, grey levels 0..255 -> float32 (N, 3, H, W), normalised, in the network's
    colour order.

    Each value is (pixel - mean) * (1 / std) in float32; a mean of 0 and a deviation of 1 cost nothing.
    """
    height, width = images[0].shape[:2]
    planes = np.empty((len(images), 3, height, width), np.float32)
    step = -1 if spec.colour == "RGB" else 1
    mean, scale = _normalisation(spec.mean, spec.std)
    for image, target in zip(images, planes, strict=True):
        target[...] = image[:, :, ::step].transpose(2, 0, 1)
        if any(spec.mean):
            target -= mean
        if set(spec.std) != {1}:
            target *= scale
    return planes


@cache
def _normalisation(mean: Channels, std: Channels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What is subtracted, and what the difference is multiplied by, (3, 1, 1) each."""
    scale = (1 / np.asarray(std)).astype(np.float32)
    return np.asarray(mean, np.float32)[:, None, None], scale[:, None, None]


def _equal(pixels: list[Image]) -> list[Image]:
    if len({p.shape for p in pixels}) > 1:
        raise InputError("images of one batch differ in size; score them one by one or resize them first")
    return pixels


def check_image(image: Image) -> None:
    """Raise InputError unless `image` is uint8 of shape (H, W, 3) with at least one pixel."""
    if not isinstance(image, np.ndarray):
        raise InputError(
            f"expected a uint8 BGR image of shape (H, W, 3), got {type(image).__name__}; "
            "cv2.imread gives None for a file that it cannot read"
        )
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

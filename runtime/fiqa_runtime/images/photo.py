"""The forms in which a user may hand over a photo, brought to the one that everything here works on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import read_image

EIGHT_BIT = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Pillow's modes of at most 8 bits per channel, which become RGB without loss of range."""


@runtime_checkable
class PillowPicture(Protocol):
    """A ``PIL.Image.Image``; Pillow itself is not needed here."""

    mode: str

    def convert(self, mode: str) -> Any: ...

    def getexif(self) -> Any: ...


Photo: TypeAlias = "Image | str | Path | PillowPicture"
"""uint8 BGR array (H, W, 3), path of a file, or a Pillow picture."""


def as_image(photo: Photo) -> Image:
    """`photo` as uint8 BGR (H, W, 3), upright: EXIF orientation of files and Pillow pictures is applied.

    An array is handed on as it is. Raises InputError where a file cannot be read, or a Pillow picture has more than 8
    bits per channel.
    """
    if isinstance(photo, str | Path):
        return read_image(Path(photo))
    if isinstance(photo, np.ndarray) or not isinstance(photo, PillowPicture):
        return photo  # the functions that use it say what is wrong with it
    if photo.mode not in EIGHT_BIT:
        raise InputError(f"a Pillow picture of mode {photo.mode} has no 8-bit values; convert it to RGB first")
    from PIL import ImageOps

    picture: Any = photo
    upright = ImageOps.exif_transpose(picture).convert("RGB")
    return np.ascontiguousarray(np.asarray(upright, np.uint8)[:, :, ::-1])

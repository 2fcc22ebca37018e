"""What every kind of published data set is read as, and how images become files of one kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
from numpy.typing import NDArray

from fiqa_evaluation.data_set.files import Ints
from fiqa_evaluation.data_set.templates import Templates

PUBLISHED_QUALITY = 95
"""JPEG quality of OpenCV's imwrite, with which CR-FIQA's scripts save."""


@dataclass(frozen=True, eq=False)
class Source:
    """A data set as it is published, opened but not yet read."""

    kind: str
    names: Sequence[str]
    """Images (N), as they will be called; no blanks, no suffix, each once."""
    load: Callable[[int], bytes | Image]
    """The image at a place: the bytes of a JPEG that can stay as they are, or uint8 BGR (H, W, 3). Any number of
    threads may ask. Raises InputError where it is missing or damaged."""
    pairs: Ints
    """(P, 2): indices of `names`, or of the templates' names where there are templates."""
    genuine: NDArray[np.bool_]
    """(P,)."""
    persons: Sequence[str] | None = None
    """(N,): who is on each image; None where the source does not say."""
    templates: Templates | None = None
    """Whose `images` are `names`."""
    missing: Sequence[str] = ()
    """Images that lists name and that are not there."""
    left_out: int = 0
    """Pairs that fell away with them."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What decides how the images become: another value makes another data set."""


def plain_name(text: str) -> str:
    """`text` as a name in lists that are separated by blanks: blanks become underscores."""
    return re.sub(r"\s", "_", text)


def check_distinct(names: Sequence[str], origins: Sequence[object]) -> None:
    """Raise InputError where two of `names` are equal; `origins` are what people know them by."""
    first: dict[str, object] = {}
    for name, origin in zip(names, origins, strict=True):
        if name in first:
            raise InputError(f"{first[name]} and {origin} would both be called '{name}'; rename one of them")
        first[name] = origin


def encoded(image: Image, published: bool) -> bytes:
    """uint8 BGR as the bytes of a JPEG.

    `published`: with red and blue exchanged and OpenCV's usual losses, as CR-FIQA's scripts save. Else with the highest
    quality and colours in full resolution.
    """
    if published:
        settings = [cv2.IMWRITE_JPEG_QUALITY, PUBLISHED_QUALITY]
        image = np.ascontiguousarray(image[:, :, ::-1])
    else:
        sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        settings = [cv2.IMWRITE_JPEG_QUALITY, 100, *sampling]
    return bytes(cv2.imencode(".jpg", image, settings)[1])

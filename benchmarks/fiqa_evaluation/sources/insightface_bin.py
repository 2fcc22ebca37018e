"""InsightFace's `.bin`: LFW, AgeDB-30, CFP-FP, CALFW, CPLFW as one pickle of encoded images and one flag per pair."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.dimensions import image_size
from fiqa_runtime.images.jpeg import START, decode_jpeg
from fiqa_runtime.images.preprocess import Image

from fiqa_evaluation.sources.safe_pickle import load_plain
from fiqa_evaluation.sources.source import Source

SIDE = 112
"""Shorter side in pixels to which images of another size are brought."""


def open_bin(path: Path) -> Source:
    """The pairs of a `.bin`: images 2k and 2k + 1 are pair k, and are called by five digits.

    Images of the same bytes are one image of one person. Raises InputError where the file is damaged or holds something
    else.
    """
    images, flags = _checked(path, load_plain(path))
    pairs = np.arange(len(images), dtype=np.int64).reshape(-1, 2)
    genuine = np.array([bool(flag) for flag in flags], np.bool_)

    def load(place: int) -> bytes | Image:
        data = images[place]
        try:
            image = decode_jpeg(data) if data.startswith(START) else _decoded(data)
        except (ValueError, cv2.error) as error:
            raise InputError(f"image {place} of {path.name} is damaged ({error}); download the file again") from error
        if image is None:
            raise InputError(f"image {place} of {path.name} is not an image; download the file again")
        height, width = image.shape[:2]
        if min(height, width) == SIDE:
            return data if data.startswith(START) else image
        scale = SIDE / min(height, width)
        size = (max(round(width * scale), SIDE), max(round(height * scale), SIDE))
        return np.asarray(cv2.resize(image, size), np.uint8)

    names = [f"{place:05d}" for place in range(len(images))]
    return Source("insightface-bin", names, load, pairs, genuine, _persons(images, pairs, genuine))


def _checked(path: Path, found: object) -> tuple[list[bytes], list[object]]:
    if not isinstance(found, list | tuple) or len(found) != 2:
        raise InputError(f"{path} does not hold a list of images and a list of flags; download it again")
    images, flags = found
    if not isinstance(images, list | tuple) or not all(isinstance(image, bytes) and image for image in images):
        raise InputError(f"{path}: its first part is not a list of encoded images; download it again")
    flags_fit = isinstance(flags, list | tuple) and all(flag in (0, 1) for flag in flags)
    if not flags_fit or len(images) != 2 * len(flags) or not flags:
        raise InputError(f"{path}: {len(images)} images need half as many flags, each true or false; download it again")
    return list(images), list(flags)


def _decoded(data: bytes) -> Image | None:
    if image_size(data) is None:
        return None
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)


def _persons(images: list[bytes], pairs: np.ndarray, genuine: np.ndarray) -> list[str]:
    """A number for each image: the same for images of equal bytes and for those that genuine pairs connect."""
    from fiqa_evaluation.data_set.identities import identities_of_pairs

    first: dict[bytes, int] = {}
    digests = [hashlib.sha256(image).digest() for image in images]
    same = [[first.setdefault(digest, place), place] for place, digest in enumerate(digests)]
    ties = np.concatenate([pairs[genuine], np.array(same, np.int64)])
    return list(map(str, identities_of_pairs(len(images), ties, np.ones(len(ties), np.bool_)).tolist()))

"""The bytes of a photo -> its faces, as ``POST /faces`` answers."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

import cv2

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.face_quality import Face, LeftOutError
from fiqa_runtime.images.dimensions import common_size
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import decode_image
from fiqa_runtime.serve.problems import ProblemError


class Assessor(Protocol):
    """A FaceQuality or a PortraitQuality."""

    def begin(self, image: Image) -> Callable[[], list[Face]]: ...


def read_photo(data: bytes, most_pixels: int) -> Image:
    """The photo in `data` as uint8 BGR (H, W, 3), upright.

    Raises ProblemError: 415 for another format, 413 above `most_pixels`, 422 where it is damaged.
    """
    size = common_size(data)
    if size is None:
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is not a JPEG, PNG, WebP or BMP picture")
    if size[0] * size[1] > most_pixels:
        told = f"the picture has {size[0]} x {size[1]} pixels, more than {most_pixels:,}; shrink it first"
        raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, told)
    try:
        return decode_image(data, "the picture", most_pixels)
    except InputError as error:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error


def faces_of(image: Image, assessor: Assessor, card: Card) -> dict[str, Any]:
    """What is answered for a photo: its faces, most confident first. Raises ProblemError where none can be cut out."""
    left_out: str | None = None
    try:
        faces = assessor.begin(image)()
    except LeftOutError as error:
        faces, left_out = error.faces, str(error)
    except InputError as error:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
    except cv2.error as error:
        told = f"OpenCV refuses the picture ({error.err}); shrink it"
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, told) from error
    height, width = image.shape[:2]
    more = {} if left_out is None else {"left_out": left_out}
    return {
        "model": card.model,
        "precision": card.precision,
        "higher_is_better": True,
        "width": width,
        "height": height,
        **more,
        "faces": [face.as_dict() for face in faces],
    }

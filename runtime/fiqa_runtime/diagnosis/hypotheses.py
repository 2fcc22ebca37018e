"""The usual mistakes of a face quality pipeline, in a form in which each can be tried on an image.

A hypothesis is a way to prepare pixels (which crop, which resize) together with a way to feed them (colour order,
mean and standard deviation). The first one of a list is always the card's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.spec import Colour, InputSpec, Resize
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.images.align import ARCFACE_SIZE, Method, arcface_crop, ffhq_crop, least_squares, lmeds
from fiqa_runtime.images.framing import frame_of
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.resample import Filter, pillow_resize

NARROW_SHIFT = 8.0
"""The narrow ArcFace template, of 96 x 112 crops, lies this many pixels to the left of the standard one."""
AS_THE_CARD_SAYS = "as the card says"
WRONG_RESIZE = "wrong resize interpolation"

Resizer = Callable[[Image, int, int], Image]
"""Image, height, width -> the image in that size."""


@dataclass(frozen=True)
class Hypothesis:
    """What the other pipeline may have done."""

    fault: str
    """`none`, or the mistake in a few words."""
    detail: str
    """Which form of it."""
    input: InputSpec
    """How the pixels are fed."""
    pixels: str = AS_THE_CARD_SAYS
    """Key of :func:`crop_pixels` or :func:`photo_pixels`."""


def feed_hypotheses(spec: InputSpec) -> list[Hypothesis]:
    """The card's own way, and mistakes in feeding the pixels: exchanged colours, normalisation missing or doubled.

    A graph that takes raw pixels normalises them itself, so only exchanged colours can be tried on it.
    """
    other: Colour = "BGR" if spec.colour == "RGB" else "RGB"
    own = Hypothesis("none", AS_THE_CARD_SAYS, spec)
    if spec.raw:
        return [own, Hypothesis("RGB and BGR swapped", "RGB instead of BGR", spec, _SWAPPED)]
    found = [
        own,
        Hypothesis("RGB and BGR swapped", f"{other} instead of {spec.colour}", replace(spec, colour=other)),
    ]
    means, stds = np.asarray(spec.mean), np.asarray(spec.std)
    nothing, unit = np.zeros(3), np.full(3, 255.0)
    missing, doubled = "normalisation missing", "normalisation doubled"
    for fault, detail, mean, std in (
        (missing, "grey levels 0 to 255 as they are", nothing, nothing + 1),
        (missing, "only divided by 255", nothing, unit),
        (doubled, "mean and standard deviation twice, in units of 0 to 1", means + stds * means / 255, stds**2 / 255),
        (doubled, "mean and standard deviation twice, in grey levels", means + stds * means, stds**2),
        (doubled, "divided by 255 twice", 255 * means, 255 * stds),
    ):
        changed = replace(spec, mean=_three(mean), std=_three(std))
        if all(changed != hypothesis.input for hypothesis in found):
            found.append(Hypothesis(fault, detail, changed))
    return found


def crop_hypotheses(spec: InputSpec) -> list[Hypothesis]:
    """Mistakes that can be told on ready crops."""
    return feed_hypotheses(spec) + [Hypothesis(WRONG_RESIZE, name, spec, name) for name in _resizers(spec)]


def photo_hypotheses(spec: InputSpec, align: Method) -> list[Hypothesis]:
    """Mistakes that can be told on photos: those of crops, and how the face is cut out. Five landmarks
    have to give the crop of `spec`."""
    ways = [
        ("no alignment", "the whole photo resized", _WHOLE),
        ("no alignment", "the face box cut out and resized", _BOX),
    ]
    if frame_of(spec).on_template:
        estimator = "least squares" if align == "lmeds" else "LMEDS, as OpenCV's demo"
        ways += [
            ("the other ArcFace template", f"narrow, the face {NARROW_SHIFT:g} px to the left", _NARROW),
            ("the other alignment", estimator, _ESTIMATOR),
            *((WRONG_RESIZE, f"{name} when the face is cut out", name) for name in _WARPS),
        ]
    else:
        ways.append(("wrong framing", "the 112 x 112 ArcFace crop instead of the whole head", _ARCFACE))
    return crop_hypotheses(spec) + [Hypothesis(fault, detail, spec, pixels) for fault, detail, pixels in ways]


def crop_pixels(crop: Image, spec: InputSpec) -> dict[str, Image]:
    """A ready uint8 BGR crop as the card has it, as RGB, and resized in each wrong way; same keys for every crop."""
    found = {AS_THE_CARD_SAYS: crop, _SWAPPED: crop[:, :, ::-1]}
    for name, resize in _resizers(spec).items():
        assert spec.height is not None and spec.width is not None
        fits = crop.shape[:2] == (spec.height, spec.width)
        found[name] = crop if fits else resize(crop, spec.height, spec.width)
    return found


def photo_pixels(photo: Image, face: Detection, spec: InputSpec, align: Method) -> dict[str, Image]:
    """The face of a uint8 BGR photo, cut out as the card has it and in each wrong way."""
    x, y, width, height = face.box.tolist()
    left, top = max(round(x), 0), max(round(y), 0)
    box = photo[top : max(round(y + height), top + 1), left : max(round(x + width), left + 1)]
    found = {_WHOLE: photo, _BOX: box}
    if not frame_of(spec).on_template:
        found[_ARCFACE] = arcface_crop(photo, face.landmarks, align)
        return {**crop_pixels(ffhq_crop(photo, face.landmarks), spec), **found}
    matrix = lmeds(face.landmarks) if align == "lmeds" else least_squares(face.landmarks)
    size = ARCFACE_SIZE, ARCFACE_SIZE
    narrow = matrix - np.array([[0, 0, NARROW_SHIFT], [0, 0, 0]])
    found[_NARROW] = np.asarray(cv2.warpAffine(photo, narrow, size), np.uint8)
    found[_ESTIMATOR] = arcface_crop(photo, face.landmarks, "least-squares" if align == "lmeds" else "lmeds")
    for name, interpolation in _WARPS.items():
        found[name] = np.asarray(cv2.warpAffine(photo, matrix, size, flags=interpolation), np.uint8)
    return {**crop_pixels(arcface_crop(photo, face.landmarks, align), spec), **found}


_SWAPPED = "channels swapped"
_WHOLE, _BOX, _NARROW, _ESTIMATOR, _ARCFACE = "whole photo", "face box", "narrow", "estimator", "arcface"
_WARPS = {"nearest": cv2.INTER_NEAREST, "bicubic": cv2.INTER_CUBIC}


def _opencv(interpolation: int) -> Resizer:
    return lambda image, height, width: np.asarray(
        cv2.resize(image, (width, height), interpolation=interpolation), np.uint8
    )


def _pillow(kind: Filter) -> Resizer:
    return lambda image, height, width: pillow_resize(image, height, width, kind)


_RESIZERS: dict[str, tuple[Resizer, Resize | None]] = {
    "OpenCV nearest": (_opencv(cv2.INTER_NEAREST), None),
    "OpenCV bilinear": (_opencv(cv2.INTER_LINEAR), "opencv-bilinear"),
    "OpenCV bicubic": (_opencv(cv2.INTER_CUBIC), None),
    "OpenCV area": (_opencv(cv2.INTER_AREA), None),
    "Pillow bilinear": (_pillow("bilinear"), "pillow-bilinear"),
    "Pillow bicubic": (_pillow("bicubic"), "pillow-bicubic"),
}
"""8-bit resizers and the card's name of each; None where no network's official script uses it."""


def _resizers(spec: InputSpec) -> dict[str, Resizer]:
    """Every wrong way to bring a crop to the network's size; none where the network takes crops as they are."""
    if spec.height is None or spec.sampling is not None or spec.resize == "none":
        return {}
    return {name: resize for name, (resize, own) in _RESIZERS.items() if own != spec.resize}


def _three(values: NDArray[np.float64]) -> tuple[float, float, float]:
    first, second, third = values.tolist()
    return first, second, third

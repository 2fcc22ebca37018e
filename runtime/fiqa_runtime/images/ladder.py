"""Photos degraded in known ways and strengths, to test whether a network still ranks them as its reference does.

Every kind has one knob, `amount` from 0 (untouched) to 1, whose equal steps are about equally visible. Lengths are
shares of the picture's shorter side, so that a ladder looks alike at 112 and at 512 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image, check_image
from fiqa_runtime.images.seeded import rng

STRENGTHS = 5
"""Steps of a ladder, besides the untouched picture."""
ALL = tuple(range(1, STRENGTHS + 1))
PRISTINE = "pristine"
"""The kind of an untouched picture, which has strength 0 and is the first rung of every ladder of its photo."""

Parameters = dict[str, Any]
Degradation = Callable[[Image, float, np.random.Generator], tuple[Image, Parameters]]


@dataclass(frozen=True)
class Rung:
    """What was done to one picture of the parity set; plain data for a card or report."""

    source: int
    """Index of the photo among those given."""
    kind: str
    """`pristine` or a key of :data:`KINDS`."""
    strength: int
    """0 for the untouched photo, then 1..STRENGTHS."""
    parameters: Parameters
    """What the degradation did, in the units of its function."""


def ladders(images: Iterable[Image], strengths: Sequence[int] = ALL) -> Iterator[tuple[Rung, Image]]:
    """Each photo untouched, then degraded in every kind at each of `strengths`, one picture at a time.

    `images` are uint8 BGR (H, W, 3) of any size; the results have the size of their photo. With all strengths a photo
    gives 36 pictures. The same photos in the same order give the same pictures, but for what two versions of libjpeg
    differ by. Raises InputError for anything that is not such an image.
    """
    for source, image in enumerate(images):
        yield Rung(source, PRISTINE, 0, {}), image
        for kind in KINDS:
            for strength in strengths:
                stream = rng(f"ladder:0:{source}:{kind}")
                degraded, parameters = degrade(image, kind, strength / STRENGTHS, stream)
                yield Rung(source, kind, strength, parameters), degraded


def degrade(image: Image, kind: str, amount: float, stream: np.random.Generator) -> tuple[Image, Parameters]:
    """uint8 BGR (H, W, 3) degraded by `amount` in 0..1, and the parameters used; 0 returns the picture as it is.

    `stream` gives the random numbers (noise, place and colour of an occluder): from the same state a larger amount
    gives a stronger form of the same degradation. Raises InputError for anything that is not an image or an unknown
    kind.
    """
    check_image(image)
    if kind not in KINDS:
        raise InputError(f"unknown degradation '{kind}'; choose one of {', '.join(KINDS)}")
    if amount == 0:
        return image, {}
    return KINDS[kind](image, amount, stream)


def _blur(image: Image, amount: float, stream: np.random.Generator) -> tuple[Image, Parameters]:
    """Gaussian blur; `sigma` in pixels, 0.5 to 5.4 % of the shorter side."""
    sigma = min(image.shape[:2]) / 112 * 0.6 * 10**amount
    return _pixels(cv2.GaussianBlur(image, (0, 0), sigma)), {"sigma": sigma}


def _resampling(image: Image, amount: float, stream: np.random.Generator) -> tuple[Image, Parameters]:
    """Shrink by area means to `width` x `height`, 84 to 11 pixels on the shorter side, and enlarge bicubically
    again."""
    height, width = image.shape[:2]
    factor = max(1, min(height, width) / 112 * 4 / 3 * 8**amount)
    small = max(1, round(width / factor)), max(1, round(height / factor))
    reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
    enlarged = cv2.resize(reduced, (width, height), interpolation=cv2.INTER_CUBIC)
    return _pixels(enlarged), {"width": small[0], "height": small[1]}


def _noise(image: Image, amount: float, stream: np.random.Generator) -> tuple[Image, Parameters]:
    """Gaussian noise, independent per pixel and channel; `std` in grey levels, 5 to 60."""
    std = 5 * 12**amount
    return _pixels(image + std * stream.standard_normal(image.shape)), {"std": std}


def _jpeg(image: Image, amount: float, stream: np.random.Generator) -> tuple[Image, Parameters]:
    """Encode as baseline JPEG and decode again; `quality` as libjpeg counts it, 64 to 5."""
    quality = round(64 * (5 / 64) ** amount)
    coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return _pixels(cv2.imdecode(coded, cv2.IMREAD_COLOR)), {"quality": quality}


def _darkening(image: Image, amount: float, stream: np.random.Generator) -> tuple[Image, Parameters]:
    """Every value times `gain`, 1 to 0.06, rounded, so that shadows lose their steps."""
    gain = 0.06**amount
    return _pixels(image * gain), {"gain": gain}


def _overexposure(image: Image, amount: float, stream: np.random.Generator) -> tuple[Image, Parameters]:
    """Every value times `gain`, 1 to 32, cut off at white.

    The gain is metered, because a gain that spoils a bright photo improves a dark one. It brings a weighted mean of the
    picture to 60 to 95 % of white. In that mean the middle counts as much again as the whole picture, and black pixels,
    which lie beyond the photo's edge, do not count. A picture that is as bright already still gets a gain of up to 1.5.
    """
    height, width = image.shape[:2]
    middle = image[height // 4 : height - height // 4, width // 4 : width - width // 4]
    counts = np.bincount(image.ravel(), minlength=256) + 4 * np.bincount(middle.ravel(), minlength=256)
    counts[0] = 0
    gains = np.geomspace(1, 32, 101)
    means = np.minimum(np.outer(gains, np.arange(256)), 255) @ counts / max(1, counts.sum())
    wanted = 255 * (1 - 0.4 * 0.12**amount)
    gain = max(1 + amount / 2, float(np.interp(wanted, means, gains)))
    return _pixels(image * gain), {"gain": gain}


def _occlusion(image: Image, amount: float, stream: np.random.Generator) -> tuple[Image, Parameters]:
    """A rectangle of one colour near the middle, over up to 70 % of the area; a larger amount enlarges it about its
    place.

    `left`, `top`, `width`, `height` in pixels, `colour` B G R.
    """
    height, width = image.shape[:2]
    centre_x, centre_y = stream.uniform(0.3, 0.7, 2)
    stretch = stream.uniform(0.85, 1.15)
    colour = [int(value) for value in stream.integers(0, 256, 3)]
    share = (0.7 * amount) ** 0.5
    w, h = min(width, round(width * share * stretch)), min(height, round(height * share / stretch))
    left = int(np.clip(round(width * centre_x - w / 2), 0, width - w))
    top = int(np.clip(round(height * centre_y - h / 2), 0, height - h))
    covered = image.copy()
    covered[top : top + h, left : left + w] = colour
    return covered, {"left": left, "top": top, "width": w, "height": h, "colour": colour}


def _pixels(values: Any) -> Image:
    rounded: NDArray[np.float64] = np.rint(np.asarray(values, np.float64))
    return np.clip(rounded, 0, 255).astype(np.uint8)


KINDS: dict[str, Degradation] = {
    "blur": _blur,
    "resampling": _resampling,
    "noise": _noise,
    "jpeg": _jpeg,
    "darkening": _darkening,
    "overexposure": _overexposure,
    "occlusion": _occlusion,
}
"""Every degradation by name."""

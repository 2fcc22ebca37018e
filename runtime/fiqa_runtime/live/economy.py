"""Which faces are worth a score: those that could be better than what was scored of the same person already."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np

from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.images.preprocess import Image

MOST_KEPT = 16
"""Merits that are remembered of one person."""
ENOUGH = 2.0
"""A face that is larger than this many crops has all the pixels that its crop can show."""


@dataclass(frozen=True)
class Merit:
    """What can be told of a face without the network. More is better in each."""

    size: float
    """Pixels along its side, up to what the crop can show."""
    sharpness: float
    """Standard deviation of the crop's Laplacian in grey levels: it falls with blur, with enlarging and with the
    light."""
    frontal: float
    """1 for a nose in the middle between the eyes, 0 for one at an eye."""

    def within(self, other: Merit, tolerance: float) -> bool:
        """Whether this face is ahead of the `other` one in nothing, or by less than `tolerance` of it."""
        more = 1 + tolerance
        return (
            self.size <= other.size * more
            and self.sharpness <= other.sharpness * more
            and self.frontal <= other.frontal + tolerance
        )


def merit_of(face: Detection, crop: Image) -> Merit:
    """The merit of a face and its uint8 BGR crop."""
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_32F))
    size = min(math.sqrt(float(face.box[2:].prod())), ENOUGH * max(crop.shape[:2]))
    right, left, nose = (face.landmarks[index].astype(np.float64) for index in range(3))
    eyes = left - right
    along = float((nose - right) @ eyes) / (float(eyes @ eyes) or 1.0)
    return Merit(size, float(deviation[0, 0]), max(1 - 2 * abs(along - 0.5), 0.0))


@dataclass(frozen=True)
class Economy:
    """When a person is scored again.

    A face that is no larger, no sharper and no more frontal than one that was scored already is taken for no better
    than that one was; it is scored all the same once `refresh` seconds have passed, since these three are not all that
    a network sees. With 0 every face is scored. Raises InputError for settings outside their ranges.
    """

    refresh: float = 0.5
    """Seconds after which a person is scored whatever the merit."""
    tolerance: float = 0.03
    """A lead by a smaller share counts as none."""

    def __post_init__(self) -> None:
        for name in ("refresh", "tolerance"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name} is {getattr(self, name)}; choose 0 or more")


@dataclass
class Scored:
    """What was scored of one person."""

    economy: Economy
    last: float = -math.inf
    """Time of the last score."""
    _known: list[tuple[Merit, float]] = field(default_factory=list)

    def may_gain(self, merit: Merit, time: float, best: float) -> bool:
        """Whether a face could have a higher quality than `best`, as far as is known at `time`."""
        if time - self.last >= self.economy.refresh:
            return True
        return not any(
            quality <= best and merit.within(other, self.economy.tolerance) for other, quality in self._known
        )

    def add(self, merit: Merit, quality: float, time: float) -> None:
        """Remember what a face of that `merit` got."""
        self.last = time
        self._known = [known for known in self._known if not known[0].within(merit, 0)]
        self._known = [*self._known, (merit, quality)][-MOST_KEPT:]

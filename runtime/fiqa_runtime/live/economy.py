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
WAVERING = 0.03
"""Share by which size and sharpness of a face that stands still may differ from frame to frame."""
TURNING = 0.1
"""The same of how frontal it is, which landmarks tell less surely."""
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

    def within(self, other: Merit, lead: float) -> bool:
        """Whether this face is no more than the `other` one: in size and in how frontal it is not ahead by more than
        they waver, and in sharpness by at most the share `lead`, which may be negative."""
        return (
            self.size <= other.size * (1 + WAVERING)
            and self.sharpness <= other.sharpness * (1 + lead)
            and self.frontal <= other.frontal + TURNING
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
    than that one was. Scores waver more than these three show, so at first only a face that is less sharp by the share
    `doubt` is passed over; with each score in a row that brings nothing the doubt shrinks, and after `patience` of them
    a face has to be sharper. Whatever it looks like, it is scored once `refresh` seconds have passed since the last
    time. With ``refresh=0`` every face is scored. Raises InputError for settings outside their ranges.
    """

    refresh: float = 0.5
    """Seconds."""
    doubt: float = 0.4
    """Share of the sharpness, 0 to 1."""
    patience: int = 60
    """Scores of one person."""

    def __post_init__(self) -> None:
        for name, most in (("refresh", math.inf), ("doubt", 1), ("patience", math.inf)):
            if not 0 <= getattr(self, name) <= most:
                raise InputError(f"{name} is {getattr(self, name)}; choose 0 or more" + (", up to 1" * (most == 1)))

    def lead(self, fruitless: int) -> float:
        """By which share a face has to be sharper than one that was scored, after so many scores that brought
        nothing; negative: it may be less sharp."""
        return WAVERING - (WAVERING + self.doubt) * max(1 - fruitless / max(self.patience, 1), 0)


@dataclass
class Scored:
    """What was scored of one person."""

    economy: Economy
    last: float = -math.inf
    """Time of the last score."""
    fruitless: int = 0
    """Scores since the highest one."""
    _highest: float = -math.inf
    _known: list[tuple[Merit, float]] = field(default_factory=list)

    def may_gain(self, merit: Merit, time: float, best: float) -> bool:
        """Whether a face could have a higher quality than `best`, as far as is known at `time`."""
        if time - self.last >= self.economy.refresh:
            return True
        lead = self.economy.lead(self.fruitless)
        return not any(quality <= best and merit.within(other, lead) for other, quality in self._known)

    def add(self, merit: Merit, quality: float, time: float) -> None:
        """Remember what a face of that `merit` got."""
        self.last = time
        self.fruitless = 0 if quality > self._highest else self.fruitless + 1
        self._highest = max(self._highest, quality)
        # One that a new face is ahead of in everything says nothing that the new one does not.
        ahead = [known for known in self._known if not _is_below(known[0], merit) or known[1] > quality]
        self._known = [*ahead, (merit, quality)][-MOST_KEPT:]


def _is_below(merit: Merit, other: Merit) -> bool:
    return merit.size <= other.size and merit.sharpness <= other.sharpness and merit.frontal <= other.frontal

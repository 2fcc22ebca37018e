"""What is told of the people in a stream: they come, a better picture of them was seen, the best one, they leave."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.faces.face_quality import Face
from fiqa_runtime.images.preprocess import Image

Kind = Literal["started", "better", "best", "ended"]
MARGIN = 0.5
"""What is cut out around a face on each side, in sizes of its box."""


@dataclass(frozen=True, eq=False)
class Shot:
    """One face at one moment."""

    time: float
    """Of its frame, in seconds since the stream began."""
    frame: int
    """Index of its frame."""
    face: Face
    """With its quality, and the crop that was scored."""
    picture: Image = field(repr=False)
    """What a person wants to see: the head with some room around it, in the frame's own pixels, uint8 BGR (H, W, 3)."""


@dataclass(frozen=True, eq=False)
class Event:
    """Something about one person."""

    kind: Kind
    """`started`: a face that was not there before. `better`: a picture of higher quality than all before. `best`: the
    final choice, once for each track that had a face to show. `ended`: the person has left, or the stream is over."""
    track: int
    """Number of the person."""
    time: float
    """In seconds since the stream began: of the picture for `better` and `best`, else when it happened."""
    frame: int
    """Index of the frame, as `time`."""
    told: float
    """Time of the stream when the event was given."""
    face: Face | Detection
    """For `better` and `best` the face with its quality; else the last detection."""
    shots: tuple[Shot, ...] = ()
    """For `better` the new picture; for `best` as many as were asked for, the best one first."""

    @property
    def quality(self) -> float | None:
        """The network's score of the face; None where the event has no picture."""
        return self.shots[0].face.quality if self.shots else None

    @property
    def crop(self) -> Image | None:
        """What the network scored, uint8 BGR; None where the event has no picture."""
        return self.shots[0].face.crop if self.shots else None

    @property
    def picture(self) -> Image | None:
        """The head with some room around it, uint8 BGR; None where the event has no picture."""
        return self.shots[0].picture if self.shots else None


@dataclass(frozen=True)
class Floors:
    """What a face needs before it is scored at all: a network may well like a face that nobody can use.

    Raises InputError for a floor outside its range.
    """

    size: float = 40
    """Pixels of the shorter side of its box."""
    confidence: float = 0.6
    """Of the detector, 0 to 1."""
    inside: float = 0.9
    """Share of its box that lies in the frame, 0 to 1; its landmarks have to."""

    def __post_init__(self) -> None:
        for name, most in (("size", np.inf), ("confidence", 1), ("inside", 1)):
            if not 0 <= getattr(self, name) <= most:
                raise InputError(f"the floor for {name} is {getattr(self, name)}; choose a number of its range")

    def let_by(self, face: Detection, width: int, height: int) -> bool:
        """Whether `face`, in a frame of `width` x `height` pixels, may be shown."""
        if face.confidence < self.confidence or float(face.box[2:].min()) < self.size:
            return False
        whole = np.array([width, height], np.float64)
        if ((face.landmarks < 0) | (face.landmarks > whole - 1)).any():
            return False
        low, high = np.maximum(face.box[:2], 0), np.minimum(face.box[:2] + face.box[2:], whole)
        return float(np.clip(high - low, 0, None).prod()) >= self.inside * float(face.box[2:].prod())


def cut_picture(image: Image, face: Detection) -> Image:
    """The part of a frame around `face`, :data:`MARGIN` wider on each side where the frame has it: a copy."""
    height, width = image.shape[:2]
    room = MARGIN * face.box[2:]
    left, top = np.floor(np.maximum(face.box[:2] - room, 0)).astype(int)
    right, bottom = np.ceil(face.box[:2] + face.box[2:] + room).astype(int)
    part = image[min(top, height - 1) : max(bottom, top + 1), min(left, width - 1) : max(right, left + 1)]
    return np.array(part, np.uint8)

"""What is known of the people in a stream: who they are, where they are, and the pictures kept of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.live.economy import Scored
from fiqa_runtime.live.events import Shot
from fiqa_runtime.live.tracker import Box, Track

APART = 0.3
"""Seconds between two pictures of one person where several are kept: neighbours in time look the same."""


@dataclass
class Tally:
    """What was done so far."""

    frames: int = 0
    searched: int = 0
    """Frames in which faces were looked for."""
    faces: int = 0
    """Detections."""
    below_floors: int = 0
    """Detections that were too small, too unsure or cut off."""
    scored: int = 0
    """Faces that the network scored."""
    spared: int = 0
    """Faces that were not scored since they could not be better."""
    refused: int = 0
    """Faces that cannot be cut out or scored, and frames that cannot be searched."""
    tracks: int = 0
    shown: int = 0
    """Tracks with a best picture."""


@dataclass(frozen=True, eq=False)
class Person:
    """Where somebody is now, for drawing."""

    track: int
    box: Box
    """x, y, width, height in pixels of the frame; moved on between searches."""
    lost: bool
    quality: float | None
    """The highest so far, below the threshold too; None where nothing was scored."""
    accepted: bool
    """Whether there is a picture to show."""


@dataclass
class Followed:
    """What is known of one track."""

    track: Track
    scored: Scored
    face: Detection
    """The last detection, in pixels of its frame."""
    highest: float = -math.inf
    shots: list[Shot] = field(default_factory=list)
    """The best one first."""
    told: bool = False
    """Whether the best picture is out."""

    def person(self, time: float, scale: Box) -> Person:
        """For drawing at `time`; `scale` (4,) brings the track's box back to pixels of the frame."""
        quality = self.highest if math.isfinite(self.highest) else None
        return Person(self.track.id, self.track.box_at(time) * scale, self.track.lost, quality, bool(self.shots))


def _near(shots: Sequence[Shot], time: float) -> list[Shot]:
    return [shot for shot in shots if abs(shot.time - time) < APART]


def has_place(shots: Sequence[Shot], quality: float, time: float, top: int) -> bool:
    """Whether a picture of `quality` at `time` is among the best `top`: better than its neighbours, or the last one."""
    rivals = _near(shots, time) or (shots[-1:] if len(shots) == top else ())
    return all(quality > rival.face.quality for rival in rivals)


def with_shot(shots: Sequence[Shot], shot: Shot, top: int) -> list[Shot]:
    """`shots` with a new one in place of its neighbours in time, the best first, at most `top`."""
    near = _near(shots, shot.time)
    others = [other for other in shots if other not in near]
    return sorted([*others, shot], key=lambda one: -one.face.quality)[:top]

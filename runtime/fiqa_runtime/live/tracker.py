"""Follows faces from frame to frame: which detection is the person that was there before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import Detection, intersection_over_union

Box = NDArray[np.float64]


def _still() -> Box:
    return np.zeros(4)


@dataclass(frozen=True, eq=False)
class Track:
    """One person as far as they were followed."""

    id: int
    """Number of the person, which nobody else gets."""
    face: Detection
    """The last detection of them."""
    started: float
    """Time of the first detection in seconds."""
    seen: float
    """Time of the last one."""
    lost: bool = False
    """Whether the newest search did not find them."""
    velocity: NDArray[np.float64] = field(default_factory=_still)
    """Change of x, y, width and height of the box in a second."""

    def box_at(self, time: float) -> Box:
        """Where the box (4,) should be at `time`: x, y, width, height in pixels, moved on since it was last seen."""
        box = self.face.box + self.velocity * (time - self.seen)
        box[2:] = np.maximum(box[2:], 1)
        return np.asarray(box, np.float64)


class Tracker(Protocol):
    """Whatever follows faces: our default, or an adapter to another library."""

    def update(self, faces: Sequence[Detection], time: float) -> list[Track]:
        """Every person who is followed, those not found this time too, after the `faces` of a search at `time`.

        One who is missing from the list has left, and their number does not come back. `face` of a track that is not
        `lost` is one of the `faces`, the very object.
        """


class IouTracker:
    """Our default: faces are joined to the tracks that they overlap most, once these have been moved on.

    The pair with the largest overlap (intersection over union) is joined first, down to `overlap`. What is left over is
    joined by distance: within `reach` face sizes, which grows while a track is lost, and of about the same size. A
    track begins with a detection of `confidence` or more, so that false faces stay away, while a known face may be less
    clear. A track that is not found is lost, moves on as it did for half a second, and ends after `patience` seconds.
    There is no recognition: who comes back later is a new track.

    Raises InputError for settings outside their ranges.
    """

    def __init__(
        self, patience: float = 1.0, overlap: float = 0.3, reach: float = 0.7, confidence: float = 0.7
    ) -> None:
        for name, value, most in (
            ("patience", patience, math.inf),
            ("overlap", overlap, 1),
            ("reach", reach, math.inf),
            ("confidence", confidence, 1),
        ):
            if not 0 <= value <= most:
                raise InputError(f"{name} is {value}; choose a number from 0" + (" to 1" if most == 1 else " on"))
        self.patience, self.overlap, self.reach, self.confidence = patience, overlap, reach, confidence
        self._tracks: list[Track] = []
        self._next = 0

    def update(self, faces: Sequence[Detection], time: float) -> list[Track]:
        """As :class:`Tracker` says; `time` may not run back."""
        faces = [face for face in faces if np.isfinite(face.box).all() and (face.box[2:] > 0).all()]
        pairs = self._pairs(faces, time)
        tracks = []
        for number, track in enumerate(self._tracks):
            if number in pairs:
                tracks.append(_joined(track, faces[pairs[number]], time))
            elif time - track.seen <= self.patience:
                tracks.append(replace(track, lost=True))
        taken = set(pairs.values())
        for number, face in enumerate(faces):
            if number not in taken and face.confidence >= self.confidence:
                tracks.append(Track(self._next, face, time, time))
                self._next += 1
        self._tracks = tracks
        return list(tracks)

    def _pairs(self, faces: Sequence[Detection], time: float) -> dict[int, int]:
        """Positions of faces by positions of tracks."""
        if not faces or not self._tracks:
            return {}
        boxes = np.array([face.box for face in faces], np.float64)
        here = np.array([_expected(track, time) for track in self._tracks])
        overlaps = np.array([intersection_over_union(box, boxes) for box in here])
        pairs = _greedy(overlaps, self.overlap)
        away = _distances(here, boxes)
        silent = np.array([time - track.seen for track in self._tracks])
        near = 1 - away / (self.reach * (1 + np.minimum(silent, 1)))[:, None] if self.reach else -away - 1
        near[list(pairs)] = -1
        near[:, list(pairs.values())] = -1
        return pairs | _greedy(near, 0)


COASTS = 0.5
"""Seconds for which a lost track keeps its velocity: nobody walks on for ever behind what hides them."""
SMOOTHING = 0.5
"""Share of the newest movement in the velocity."""
ALIKE = 2.0
"""Faces joined by distance differ at most so much in size."""


def _expected(track: Track, time: float) -> Box:
    return track.box_at(min(time, track.seen + COASTS))


def _greedy(values: NDArray[np.float64], least: float) -> dict[int, int]:
    """Columns by rows: the largest value above `least` first, each row and column once."""
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    rows, columns = np.nonzero(values > least)
    for at in np.argsort(-values[rows, columns], kind="stable"):
        row, column = int(rows[at]), int(columns[at])
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return pairs


def _distances(ours: Box, theirs: Box) -> NDArray[np.float64]:
    """Between the middles of boxes (N, 4) and (M, 4), in sizes of the face; infinite where the sizes differ much."""
    middles = [boxes[:, :2] + boxes[:, 2:] / 2 for boxes in (ours, theirs)]
    sizes = [np.sqrt(boxes[:, 2:].prod(axis=1)) for boxes in (ours, theirs)]
    apart = np.linalg.norm(middles[0][:, None] - middles[1][None], axis=2)
    larger = np.maximum(sizes[0][:, None], sizes[1][None])
    smaller = np.minimum(sizes[0][:, None], sizes[1][None])
    return np.where(larger <= ALIKE * smaller, apart / larger, np.inf)


def _joined(track: Track, face: Detection, time: float) -> Track:
    passed = time - track.seen
    if passed <= 0:
        return replace(track, face=face, lost=False)
    moved = (face.box - track.face.box).astype(np.float64) / passed
    first = track.seen == track.started
    velocity = moved if first else SMOOTHING * moved + (1 - SMOOTHING) * track.velocity
    return replace(track, face=face, seen=time, lost=False, velocity=velocity)

"""What a way of watching made of a clip, held against what is true of it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
from fiqa_runtime.faces.detection import Detection, intersection_over_union
from fiqa_runtime.faces.face_quality import Face, FaceQuality
from fiqa_runtime.live import BestShots, Economy, Event, Frames, IouTracker, Tally, Track

from fiqa_benchmarks.watch.clips import Truth

SAME = 0.3
"""Overlap from which a detection is the person that truly stands there."""
Visit = tuple[int, int]
"""An actor, and how often they have come before."""
Truths = Sequence[Sequence[Truth]]
"""By frame."""
Qualities = dict[Visit, dict[int, float]]
"""By visit and frame: the score of the face."""


@dataclass(frozen=True)
class Way:
    """How a stream is watched."""

    name: str
    longest: int
    """Longest side in pixels at which faces are looked for."""
    every: int
    economy: Economy


@dataclass
class Verdict:
    """What came out over all clips."""

    tracks: int = 0
    finals: int = 0
    """Tracks with a best picture."""
    wrong_finals: int = 0
    """Tracks that were told to be best or to have ended any other number of times than once."""
    events: int = 0
    visits: int = 0
    """Comings of a person, in truth."""
    missed: int = 0
    """Visits without a best picture."""
    split: int = 0
    """Visits with more than one track."""
    switches: int = 0
    """Times when a track went over to another person."""
    losses: list[float] = field(default_factory=list)
    """By visit: the highest quality that scoring every face of every frame gives, searched at the same size, minus that
    of the best shot."""
    full_losses: list[float] = field(default_factory=list)
    """The same against every frame searched at full resolution. It is negative where the best shot is better, as may
    be: on a smaller frame a detector places landmarks otherwise, and no worse."""
    seconds: float = 0.0
    frames: int = 0
    faces: int = 0
    scored: int = 0


class Recorder(IouTracker):
    """Our tracker, which keeps what it said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[list[Track]] = []

    def update(self, faces: Sequence[Detection], time: float) -> list[Track]:
        tracks = super().update(faces, time)
        self.said.append([track for track in tracks if not track.lost])
        return tracks


def frame_qualities(path: Path, truths: Truths, quality: FaceQuality) -> Qualities:
    """By visit and frame: the score of the face, every frame searched by the detector of `quality`."""
    found: Qualities = defaultdict(dict)
    for frame in Frames(path):
        for face in quality.assess(frame.image):
            visit = _who(face, truths[frame.index])
            if visit is not None:
                found[visit][frame.index] = max(face.quality, found[visit].get(frame.index, -np.inf))
    return found


def judge(
    path: Path, truths: Truths, every: Qualities, full: Qualities, way: Way, quality: FaceQuality, into: Verdict
) -> None:
    """Watch the clip at `path` in one `way`, and add what came of it `into` a verdict.

    `every` and `full` are what scoring every face of every frame gives, searched at the size of `way` and in full.
    """
    tracker = Recorder()
    shots = BestShots(quality, tracker, every=way.every, economy=way.economy)
    begin = time.perf_counter()
    events = list(shots.watch(Frames(path)))
    into.seconds += time.perf_counter() - begin
    _add_tally(shots.tally, into)
    into.events += len(events)
    _add_finals(events, into)
    owners = _owners(tracker.said, truths, way.every)
    into.switches += sum(_changes(visits) for visits in owners.values())
    best = [event for event in events if event.kind == "best"]
    chosen: dict[Visit, list[Event]] = defaultdict(list)
    for event in best:
        visit = _who(event.face, truths[event.frame])
        if visit is not None:
            chosen[visit].append(event)
    for visit, by_frame in full.items():
        into.visits += 1
        into.missed += visit not in chosen
        into.split += len(chosen[visit]) > 1
        if chosen[visit]:
            mine = max(event.quality or -np.inf for event in chosen[visit])
            into.losses.append(max(every[visit].values(), default=mine) - mine)
            into.full_losses.append(max(by_frame.values()) - mine)


def _add_tally(tally: Tally, into: Verdict) -> None:
    into.frames += tally.frames
    into.faces += tally.faces
    into.scored += tally.scored
    into.tracks += tally.tracks
    into.finals += tally.shown


def _add_finals(events: Sequence[Event], into: Verdict) -> None:
    told: dict[int, list[str]] = defaultdict(list)
    for event in events:
        told[event.track].append(event.kind)
    for kinds in told.values():
        shown = "better" in kinds
        into.wrong_finals += kinds.count("best") != shown or kinds.count("ended") != 1 or kinds.count("started") != 1


def _owners(said: Sequence[Sequence[Track]], truths: Truths, every: int) -> dict[int, list[Visit]]:
    """By track: whose face it had, search by search."""
    owners: dict[int, list[Visit]] = defaultdict(list)
    for search, tracks in enumerate(said):
        for track in tracks:
            visit = _who(track.face, truths[min(search * every, len(truths) - 1)])
            if visit is not None:
                owners[track.id].append(visit)
    return owners


def _who(face: Detection | Face, truths: Sequence[Truth]) -> Visit | None:
    """The visit of the person whose true box `face` overlaps most."""
    if not truths:
        return None
    overlaps = intersection_over_union(face.box, np.array([one.face.box for one in truths]))
    one = truths[int(overlaps.argmax())]
    return (one.actor, one.visit) if overlaps.max() > SAME else None


def _changes(visits: Sequence[Visit]) -> int:
    return sum(before[0] != after[0] for before, after in pairwise(visits))

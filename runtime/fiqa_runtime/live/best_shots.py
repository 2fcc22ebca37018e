"""Frames -> the best picture of each person: searched, followed, scored where it may gain, told as events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from threading import Lock
from typing import Any

import numpy as np

from fiqa_runtime.errors import ArtefactError, FiqaError, InputError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.faces.face_quality import Face, FaceQuality
from fiqa_runtime.images.preprocess import Image, check_image
from fiqa_runtime.live.economy import Economy, Merit, Scored, merit_of
from fiqa_runtime.live.events import Event, Floors, Shot, cut_picture
from fiqa_runtime.live.frame import Clock, Frame
from fiqa_runtime.live.people import Followed, Person, Tally, has_place, with_shot
from fiqa_runtime.live.tracker import IouTracker, Track, Tracker


@dataclass(frozen=True, eq=False)
class _Candidate:
    person: Followed
    crop: Image
    merit: Merit


class BestShots:
    """Finds the best picture of each person in a stream.

        shots = BestShots(FaceQuality(scorer, Detector(longest=640)), threshold=0.5)
        for event in shots.watch(Frames("clip.mp4")):
            if event.kind == "best":
                event.track, event.time, event.quality, event.picture

    In a loop of your own, :meth:`step` takes one frame and returns its events, and :meth:`finish` what is due at the
    end; no thread is started. :func:`fiqa_runtime.live.stages.watch_staged` does the same with three threads.

    `tracker` follows the faces; default: :class:`IouTracker`. Pictures below `threshold` are not shown. `top`: pictures
    per person, some time apart. `emit_after`: seconds after a person came at which the best
    picture is told, and not when they leave. `every`: only each n-th frame is searched. `floors`: what a face needs to
    be scored. `economy`: when a person is scored again; ``Economy(refresh=0)`` scores every face that is found.

    Raises InputError for settings outside their ranges.
    """

    def __init__(
        self,
        quality: FaceQuality,
        tracker: Tracker | None = None,
        threshold: float | None = None,
        top: int = 1,
        *,
        emit_after: float | None = None,
        every: int = 1,
        floors: Floors | None = None,
        economy: Economy | None = None,
    ) -> None:
        for name, value in (("top", top), ("every", every)):
            if value < 1:
                raise InputError(f"{name} is {value}; choose 1 or more")
        if emit_after is not None and not emit_after >= 0:
            raise InputError(f"emit_after is {emit_after}; choose 0 or more seconds")
        if threshold is not None and not math.isfinite(threshold):
            raise InputError(f"threshold is {threshold}; choose a number of the network's scale")
        self.quality = quality
        self.tracker: Tracker = tracker or IouTracker()
        self.tally = Tally()
        self._threshold = -math.inf if threshold is None else threshold
        self._top, self._emit_after, self._every = top, emit_after, every
        self._floors, self._economy = floors or Floors(), economy or Economy()
        self._people: dict[int, Followed] = {}
        self._alive: list[Track] = []
        self._clock, self._now, self._frame = Clock(), 0.0, 0
        self._size: tuple[int, int] | None = None
        self._scale = np.ones(2)
        self._turn = 0
        self._lock = Lock()
        self._finished = False

    @property
    def settings(self) -> dict[str, Any]:
        """What a result must say about how pictures were chosen."""
        return {
            "threshold": None if math.isinf(self._threshold) else self._threshold,
            "top": self._top,
            "emit_after": self._emit_after,
            "every": self._every,
            "floors": asdict(self._floors),
            "economy": asdict(self._economy),
        }

    @property
    def here(self) -> int:
        """Number of people who are there now."""
        return len(self._people)

    def watch(self, frames: Iterable[Frame]) -> Iterator[Event]:
        """The events of a whole stream, as they happen; where the source fails, open tracks are finished first."""
        try:
            for frame in frames:
                yield from self.step(frame)
        except FiqaError:
            yield from self.finish()
            raise
        yield from self.finish()

    def step(self, frame: Frame) -> list[Event]:
        """What one frame tells; raises InputError after :meth:`finish`."""
        self._check_open()
        return self.take(frame, self.find(frame))

    def find(self, frame: Frame) -> list[Detection] | None:
        """The first half of :meth:`step`: the faces of `frame`, or None where it is not its turn to be searched.

        The halves may run in different threads, each with the frames in their order.
        """
        turn, self._turn = self._turn, (self._turn + 1) % self._every
        if turn:
            return None
        try:
            check_image(frame.image)
            return self.quality.detector.detect(frame.image)
        except InputError:
            with self._lock:
                self.tally.refused += 1
            return None

    def take(self, frame: Frame, faces: Sequence[Detection] | None) -> list[Event]:
        """The second half of :meth:`step`: what `faces`, of :meth:`find`, tell."""
        self._check_open()
        self.tally.frames += 1
        self._now, self._frame = self._clock.next(frame.time), frame.index
        if faces is None:
            return self._due()
        self.tally.searched += 1
        self.tally.faces += len(faces)
        before = set(self._people)
        events = self._follow(frame, faces)
        events += self._better(frame, self._candidates(frame))
        events += self._due()
        for number in before - {track.id for track in self._alive}:
            events += self._ended(self._people.pop(number))
        return events

    def finish(self) -> list[Event]:
        """What is due at the end of the stream: the best picture of everybody who is still there. Empty afterwards."""
        self._finished = True
        events = [event for person in self._people.values() for event in self._ended(person)]
        self._people.clear()
        return events

    def people(self, time: float | None = None) -> list[Person]:
        """Who is there, moved on to `time`, which is that of the last frame where it is None."""
        when = self._now if time is None else time
        back = np.tile(1 / self._scale, 2)
        return [person.person(when, back) for person in self._people.values()]

    def _check_open(self) -> None:
        if self._finished:
            raise InputError("this stream is finished; make another BestShots for the next one")

    def _follow(self, frame: Frame, faces: Sequence[Detection]) -> list[Event]:
        """Hand `faces` to the tracker, and tell who has come.

        The tracker always sees the coordinates of the first frame, so that people stay who they are where a camera
        changes its resolution.
        """
        self._size = self._size or frame.size
        self._scale = np.divide(self._size, frame.size)
        seen = [face if (self._scale == 1).all() else _scaled(face, self._scale) for face in faces]
        origin = {id(moved): face for moved, face in zip(seen, faces, strict=True)}
        self._alive = self.tracker.update(seen, self._now)
        events = []
        for track in self._alive:
            face = origin.get(id(track.face), track.face)
            person = self._people.get(track.id)
            if person is None:
                person = self._people[track.id] = Followed(track, Scored(self._economy), face)
                self.tally.tracks += 1
                events.append(Event("started", track.id, self._now, frame.index, self._now, face))
            elif not track.lost:
                person.face = face
            person.track = track
        return events

    def _candidates(self, frame: Frame) -> list[_Candidate]:
        """The faces of `frame` that are worth a score."""
        found = []
        for person in (self._people[track.id] for track in self._alive if not track.lost):
            if person.told:
                continue
            if not self._floors.let_by(person.face, *frame.size):
                self.tally.below_floors += 1
                continue
            try:
                crop = self.quality.crop(frame.image, person.face.landmarks)
            except InputError:
                self.tally.refused += 1
                continue
            merit = merit_of(person.face, crop)
            least = person.shots[-1].face.quality if len(person.shots) == self._top else self._threshold
            if person.scored.may_gain(merit, self._now, max(least, self._threshold)):
                found.append(_Candidate(person, crop, merit))
            else:
                self.tally.spared += 1
        return found

    def _better(self, frame: Frame, candidates: Sequence[_Candidate]) -> list[Event]:
        """Score `candidates`, and tell which are better than all before."""
        events = []
        for candidate, score in zip(candidates, self._scores(candidates), strict=True):
            if score is None:
                self.tally.refused += 1
                continue
            person = candidate.person
            person.scored.add(candidate.merit, score, self._now)
            before = person.shots[0].face.quality if person.shots else -math.inf
            person.highest = max(person.highest, score)
            if score < self._threshold or not has_place(person.shots, score, self._now, self._top):
                continue
            face = Face(person.face.box, person.face.landmarks, person.face.confidence, score, candidate.crop)
            shot = Shot(self._now, frame.index, face, cut_picture(frame.image, person.face))
            person.shots = with_shot(person.shots, shot, self._top)
            if score > before:
                number = person.track.id
                events.append(Event("better", number, self._now, frame.index, self._now, face, (shot,)))
        return events

    def _scores(self, candidates: Sequence[_Candidate]) -> list[float | None]:
        """The score of each crop, in one call; None for those that the network cannot score."""
        self.tally.scored += len(candidates)
        if not candidates:
            return []
        try:
            return [float(score) for score in self.quality.scorer.score([one.crop for one in candidates])]
        except (InputError, ArtefactError):
            if len(candidates) == 1:
                return [None]
        self.tally.scored -= len(candidates)
        return [score for one in candidates for score in self._scores([one])]

    def _due(self) -> list[Event]:
        """The best pictures whose time has come."""
        if self._emit_after is None:
            return []
        waited = (one for one in self._people.values() if self._now - one.track.started >= self._emit_after)
        return [event for person in waited for event in self._best(person)]

    def _best(self, person: Followed) -> list[Event]:
        if person.told or not person.shots:
            return []
        person.told = True
        self.tally.shown += 1
        first = person.shots[0]
        number, shots = person.track.id, tuple(person.shots)
        return [Event("best", number, first.time, first.frame, self._now, first.face, shots)]

    def _ended(self, person: Followed) -> list[Event]:
        gone = Event("ended", person.track.id, self._now, self._frame, self._now, person.face)
        return [*self._best(person), gone]


def _scaled(face: Detection, scale: np.ndarray) -> Detection:
    box = (face.box * np.tile(scale, 2)).astype(np.float32)
    return replace(face, box=box, landmarks=(face.landmarks * scale).astype(np.float32))

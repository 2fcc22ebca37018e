"""Best shots: which events come when, which faces are scored, and that every track has one end."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import FrozenInstanceError, replace
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.live import BestShots, Economy, Event, Floors, Frame, Track

from tests.help.live.moving_faces import Given, Script, Sharpness, face_at, frames

ALL = Economy(refresh=0)
Found = Sequence[Sequence[Detection] | None]


def given(scores: Sequence[float | None], faces: Found, **settings: object) -> tuple[BestShots, list[Event]]:
    """What comes of frames with these `faces`, whose crops get these `scores` in turn."""
    settings = {"economy": ALL, **settings}
    shots = BestShots(FaceQuality(Given(scores), Script(faces)), **settings)  # type: ignore[arg-type]
    return shots, list(shots.watch(frames(len(faces))))


def told(events: Sequence[Event]) -> list[tuple[str, int, int]]:
    return [(event.kind, event.track, event.frame) for event in events]


def test_a_person_comes_gets_better_and_leaves() -> None:
    here = [face_at(60, 60)]
    _, events = given([0.4, 0.3, 0.7, 0.6], [here, here, here, here, *[[]] * 12])
    assert told(events) == [("started", 0, 0), ("better", 0, 0), ("better", 0, 2), ("best", 0, 2), ("ended", 0, 14)]
    best = events[3]
    assert best.quality == pytest.approx(0.7) and best.time == pytest.approx(0.2) and best.told == pytest.approx(1.4)
    assert best.crop is not None and best.crop.shape == (112, 112, 3)
    assert best.picture is not None and best.picture.shape == (120, 120, 3)
    assert events[0].quality is None and events[0].crop is None and events[0].picture is None
    with pytest.raises(FrozenInstanceError):
        best.track = 1  # type: ignore[misc]


def test_the_end_of_the_stream_tells_what_is_due() -> None:
    _, events = given([0.4, 0.5], [[face_at(60, 60)], [face_at(62, 60)]])
    assert told(events)[-2:] == [("best", 0, 1), ("ended", 0, 1)]


def test_emit_after_tells_once_and_scores_no_more() -> None:
    here = [face_at(60, 60)]
    shots, events = given([0.4, 0.5, 0.6, 0.9], [here] * 6, emit_after=0.2)
    assert told(events) == [
        *[("started", 0, 0), ("better", 0, 0), ("better", 0, 1), ("better", 0, 2), ("best", 0, 2), ("ended", 0, 5)]
    ]
    assert shots.tally.scored == 3


def test_emit_after_waits_for_a_face_to_show() -> None:
    here = [face_at(60, 60)]
    _, events = given([0.1, 0.1, 0.1, 0.6], [here] * 4, emit_after=0.1, threshold=0.5)
    assert told(events) == [("started", 0, 0), ("better", 0, 3), ("best", 0, 3), ("ended", 0, 3)]


def test_nothing_below_the_threshold_is_shown() -> None:
    shots, events = given([0.4, 0.45], [[face_at(60, 60)]] * 2, threshold=0.5)
    assert told(events) == [("started", 0, 0), ("ended", 0, 1)]
    assert shots.tally.shown == 0 and shots.tally.tracks == 1


@pytest.mark.parametrize(
    "face",
    [
        face_at(60, 60, 30),
        face_at(60, 60, confidence=0.7),
        face_at(-20, 60),
        face_at(300, 60),
        replace(face_at(60, 60), landmarks=face_at(60, 195).landmarks),
    ],
    ids=["small", "unsure", "cut off at the left", "cut off at the right", "landmarks outside"],
)
def test_faces_below_a_floor_are_followed_and_not_scored(face: Detection) -> None:
    shots, events = given([], [[face]], floors=Floors(size=40, confidence=0.8))
    assert told(events) == [("started", 0, 0), ("ended", 0, 0)]
    assert shots.tally.below_floors == 1 and shots.tally.scored == 0


def test_several_pictures_of_one_person_lie_apart_in_time() -> None:
    here = [face_at(60, 60)]
    scores = [0.5, 0.6, 0.4, 0.1, 0.2, 0.3, 0.1, 0.1, 0.7, 0.65]
    _, events = given(scores, [here] * 10, top=3)
    (best,) = [event for event in events if event.kind == "best"]
    assert [shot.frame for shot in best.shots] == [8, 1, 5]
    assert best.quality == pytest.approx(0.7)
    qualities = [shot.face.quality for shot in best.shots]
    assert qualities == sorted(qualities, reverse=True)


def test_two_people_have_an_end_each() -> None:
    faces = [[face_at(20, 60), face_at(200, 60)], [face_at(22, 60)], *[[face_at(24, 60)]] * 13]
    _, events = given([0.5, 0.6] + [0.4] * 14, faces)
    kinds = Counter((event.track, event.kind) for event in events)
    assert kinds == Counter({(n, kind): 1 for n in (0, 1) for kind in ("started", "better", "best", "ended")})


def test_each_nth_frame_is_searched_and_people_move_on_in_between() -> None:
    detector = Script([[face_at(20 + 10 * n, 60)] for n in range(5)])
    shots = BestShots(FaceQuality(Sharpness(), detector), every=2)
    places = []
    for frame in frames(9):
        shots.step(frame)
        places.append(float(shots.people()[0].box[0]))
    assert detector.calls == 5 and shots.tally.searched == 5
    np.testing.assert_allclose(np.diff(places[2:]), 5, atol=0.1)


def test_the_economy_scores_what_could_be_better_and_now_and_then_all_the_same() -> None:
    sharp = seeded_image(0, 240, 320)
    blurred = np.asarray(cv2.GaussianBlur(sharp, (0, 0), 4), np.uint8)
    images = [blurred, sharp, *[blurred] * 9]
    script = [[face_at(60, 60)]] * len(images)
    stream = [Frame(n, n / 10, image) for n, image in enumerate(images)]
    spare, every = (
        BestShots(FaceQuality(Sharpness(), Script(script)), economy=economy) for economy in (Economy(0.5), ALL)
    )
    best = [[event for event in shots.watch(stream) if event.kind == "best"] for shots in (spare, every)]
    assert best[0][0].frame == best[1][0].frame == 1
    assert every.tally.scored == 11
    assert spare.tally.scored == 3 and spare.tally.spared == 8  # the two first, and one after half a second


def test_a_face_that_cannot_be_scored_or_cut_out_stops_nothing() -> None:
    flat = replace(face_at(200, 60), landmarks=np.full((5, 2), 220, np.float32))
    shots, events = given([None, None, 0.5, None, 0.7], [[face_at(20, 60), flat], [face_at(20, 60), face_at(200, 60)]])
    assert shots.tally.refused >= 2
    assert Counter(event.kind for event in events)["ended"] == 2


def test_a_frame_that_cannot_be_searched_stops_nothing() -> None:
    shots, events = given([0.5, 0.6], [[face_at(60, 60)], None, [face_at(60, 60)]])
    assert told(events)[-2:] == [("best", 0, 2), ("ended", 0, 2)] and shots.tally.refused == 1
    empty: object = None
    one = BestShots(FaceQuality(Sharpness(), Script([[]])))
    assert one.step(Frame(0, 0.0, empty)) == [] and one.tally.refused == 1  # type: ignore[arg-type]


def test_people_stay_who_they_are_where_the_resolution_changes() -> None:
    small, large = seeded_image(0, 240, 320), seeded_image(0, 480, 640)
    detector = Script([[face_at(60, 60)], [face_at(120, 120, 120)], [face_at(124, 120, 120)]])
    shots = BestShots(FaceQuality(Given([0.5, 0.6, 0.7]), detector), economy=ALL)
    events = [event for n, image in enumerate((small, large, large)) for event in shots.step(Frame(n, n / 10, image))]
    assert {event.track for event in events} == {0}
    np.testing.assert_allclose(shots.people()[0].box, [124, 120, 120, 120])
    assert shots.finish()[0].face.box.tolist() == [124, 120, 120, 120]


def test_times_that_run_back_are_mended() -> None:
    script = [[face_at(60 + n, 60)] for n in range(4)]
    shots = BestShots(FaceQuality(Sharpness(), Script(script)), economy=ALL)
    image = seeded_image(0, 240, 320)
    events = [event for n, time in enumerate((5.0, 5.1, 1.0, math.nan)) for event in shots.step(Frame(n, time, image))]
    events += shots.finish()
    assert [event.told for event in events] == sorted(event.told for event in events)
    assert {event.track for event in events} == {0}


def test_a_source_that_fails_finishes_its_tracks_first() -> None:
    def failing() -> Iterator[Frame]:
        yield from frames(2)
        raise InputError("the camera is gone")

    shots = BestShots(FaceQuality(Sharpness(), Script([[face_at(60, 60)]] * 2)))
    seen: list[str] = []
    with pytest.raises(InputError, match="the camera is gone"):
        for event in shots.watch(failing()):
            seen.append(event.kind)
    assert seen[-2:] == ["best", "ended"]


def test_a_finished_stream_takes_no_more() -> None:
    shots, _ = given([0.5], [[face_at(60, 60)]])
    assert shots.finish() == []
    with pytest.raises(InputError, match="make another BestShots"):
        shots.step(frames(1)[0])


@pytest.mark.parametrize("shape", [(1, 1, 3), (8, 2000, 3)])
def test_frames_of_odd_sizes(shape: tuple[int, int, int]) -> None:
    shots = BestShots(FaceQuality(Sharpness(), Script([[face_at(0, 0)]])), floors=Floors(size=0, inside=0))
    events = [*shots.step(Frame(0, 0.0, np.zeros(shape, np.uint8))), *shots.finish()]
    assert [event.kind for event in events] == ["started", "ended"]


class Ours:
    """A tracker of somebody's own: everybody is one person."""

    def update(self, faces: Sequence[Detection], time: float) -> list[Track]:
        return [Track(7, face, 0.0, time) for face in faces[:1]]


def test_a_tracker_of_ones_own() -> None:
    shots = BestShots(FaceQuality(Sharpness(), Script([[face_at(60, 60)], [face_at(200, 90)], []])), Ours())
    events = list(shots.watch(frames(3)))
    assert {event.track for event in events} == {7} and told(events)[-1] == ("ended", 7, 2)


@pytest.mark.parametrize(
    "settings", [{"top": 0}, {"every": 0}, {"emit_after": -1.0}, {"threshold": math.inf}, {"threshold": math.nan}]
)
def test_settings_outside_their_ranges(settings: dict[str, float]) -> None:
    with pytest.raises(InputError, match="choose"):
        given([], [], **settings)


@pytest.mark.parametrize("wrong", [{"refresh": -1.0}, {"doubt": math.nan}, {"doubt": 2.0}, {"patience": -1}])
def test_economies_outside_their_ranges(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="choose 0 or more"):
        Economy(**wrong)


@pytest.mark.parametrize("wrong", [{"size": -1.0}, {"confidence": 2.0}, {"inside": math.nan}])
def test_floors_outside_their_ranges(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="choose a number of its range"):
        Floors(**wrong)

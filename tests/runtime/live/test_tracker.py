"""The default tracker: who is who, whatever the faces do."""

from __future__ import annotations

import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.live import IouTracker, Track

from tests.help.live.moving_faces import face_at


def follow(script: list[list[Detection]], tracker: IouTracker | None = None, rate: float = 10) -> list[list[Track]]:
    tracker = tracker or IouTracker()
    return [tracker.update(faces, index / rate) for index, faces in enumerate(script)]


def ids(tracks: list[Track]) -> list[int]:
    return sorted(track.id for track in tracks if not track.lost)


def test_a_face_that_moves_is_one_track() -> None:
    said = follow([[face_at(10 + 8 * n, 40 + 2 * n)] for n in range(20)])
    assert {track.id for tracks in said for track in tracks} == {0}
    (last,) = said[-1]
    np.testing.assert_allclose(last.velocity, [80, 20, 0, 0], atol=1)
    np.testing.assert_allclose(last.box_at(last.seen + 0.1)[:2], [10 + 8 * 20, 40 + 2 * 20], atol=0.5)


def test_a_leap_without_overlap_is_joined_by_distance_and_a_longer_one_is_not() -> None:
    near = follow([[face_at(0, 0)], [face_at(40, 20)]])
    assert ids(near[1]) == [0]
    far = follow([[face_at(0, 0)], [face_at(200, 100)]])
    assert ids(far[1]) == [1] and {track.id for track in far[1]} == {0, 1}
    grown = follow([[face_at(0, 0, 20)], [face_at(5, 5, 90)]])
    assert ids(grown[1]) == [1], "a face of another size is somebody else"


def test_faces_that_cross_keep_their_numbers_where_both_are_found() -> None:
    said = follow([[face_at(10 * n, 40), face_at(400 - 10 * n, 50)] for n in range(41)])
    left, right = ({track.id: track for track in tracks} for tracks in (said[0], said[-1]))
    assert set(left) == set(right) == {0, 1}
    assert right[0].face.box[0] == 400 and right[1].face.box[0] == 0


def test_faces_that_cross_keep_their_numbers_where_one_is_hidden_in_between() -> None:
    script = [[face_at(10 * n, 40), *([] if 16 <= n <= 23 else [face_at(400 - 10 * n, 40)])] for n in range(41)]
    last = {track.id: track.face.box[0] for track in follow(script, rate=30)[-1]}
    assert last == {0: 400, 1: 0}


def test_who_is_lost_is_found_again_within_the_patience_and_new_after_it() -> None:
    here, away = [face_at(50, 50)], list[Detection]()
    said = follow([here, here, *[away] * 8, here])
    assert ids(said[-1]) == [0]
    assert [tracks[0].lost for tracks in said[2:10]] == [True] * 8
    gone = follow([here, here, *[away] * 12, here])
    assert not gone[13] and ids(gone[-1]) == [1]


def test_a_lost_track_does_not_walk_on_for_ever() -> None:
    said = follow([[face_at(10 * n, 50)] for n in range(5)] + [[]] * 9 + [[face_at(90, 50)]])
    assert ids(said[-1]) == [0]


def test_unsure_faces_go_on_with_a_track_and_begin_none() -> None:
    said = follow([[face_at(0, 0, confidence=0.65)], [face_at(0, 0)], [face_at(2, 0, confidence=0.3)]])
    assert said[0] == [] and ids(said[1]) == [0] and ids(said[2]) == [0]


def test_boxes_that_are_no_boxes_are_passed_over() -> None:
    odd = face_at(0, 0)
    broken = [Detection(np.array(box, np.float32), odd.landmarks, 0.9) for box in ([np.nan] * 4, [0, 0, 0, 9])]
    assert follow([broken])[0] == []


def test_two_searches_at_one_time_do_no_harm() -> None:
    tracker = IouTracker()
    tracker.update([face_at(0, 0)], 1.0)
    (track,) = tracker.update([face_at(3, 0)], 1.0)
    assert track.id == 0 and np.isfinite(track.velocity).all()


@pytest.mark.parametrize("setting", [{"patience": -1}, {"overlap": 1.5}, {"confidence": float("nan")}, {"reach": -0.1}])
def test_settings_outside_their_ranges(setting: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(setting))} is .*; choose a number from 0"):
        IouTracker(**setting)

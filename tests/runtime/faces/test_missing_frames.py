"""A stream of photos goes on behind a frame that is missing, or that cannot be searched or scored."""

from __future__ import annotations

import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.images.seeded import seeded_image

from tests.help.live.moving_faces import Given, Script, face_at

IMAGE = seeded_image(0, 150, 150)
HERE = [face_at(40, 40)]


def test_a_missing_frame_is_told_and_stops_nothing() -> None:
    quality = FaceQuality(Given([0.5, 0.6]), Script([HERE, HERE]))
    told: list[str] = []
    results = list(quality.assess_all([IMAGE, None, IMAGE], lambda error: told.append(str(error))))
    assert [[face.quality for face in faces] for faces in results] == [[0.5], [], [pytest.approx(0.6)]]
    assert told == ["a frame is missing: the source gave None; is the camera still connected?"]


def test_without_anybody_to_tell_it_is_raised_in_its_place() -> None:
    raising = FaceQuality(Given([0.5, 0.6]), Script([HERE, HERE])).assess_all([IMAGE, None, IMAGE])
    assert len(next(raising)) == 1
    with pytest.raises(InputError, match="a frame is missing"):
        next(raising)
    assert len(next(raising)) == 1 and next(raising, None) is None


def test_frames_that_cannot_be_searched_or_scored() -> None:
    told: list[InputError] = []
    quality = FaceQuality(Given([None, 0.5]), Script([None, HERE, HERE]))
    results = list(quality.assess_all([IMAGE] * 3, lambda error: told.append(InputError(str(error)))))
    assert [len(faces) for faces in results] == [0, 0, 1] and len(told) == 2

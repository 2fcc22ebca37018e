"""What can be told of a face without a network, and when it is worth a score."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.live import Economy
from fiqa_runtime.live.economy import Merit, Scored, merit_of

from tests.help.live.moving_faces import face_at

CROP = seeded_image(0, 112, 112)
HERE = Merit(100, 50, 0.9)


def test_merit_falls_with_blur_with_the_light_and_with_the_turn_of_the_head() -> None:
    face = face_at(0, 0, 80)
    merit = merit_of(face, CROP)
    assert merit.size == pytest.approx(80) and merit.frontal == pytest.approx(1)
    blurred = np.asarray(cv2.GaussianBlur(CROP, (0, 0), 2), np.uint8)
    assert merit_of(face, blurred).sharpness < merit.sharpness / 2
    assert merit_of(face, CROP // 2).sharpness < merit.sharpness
    turned = face.landmarks.copy()
    turned[2, 0] = turned[0, 0]
    assert merit_of(replace(face, landmarks=turned), CROP).frontal == pytest.approx(0, abs=1e-6)


def test_pixels_that_the_crop_cannot_show_are_no_merit() -> None:
    assert merit_of(face_at(0, 0, 500), CROP).size == merit_of(face_at(0, 0, 900), CROP).size == 224


def test_eyes_in_one_place_do_no_harm() -> None:
    face = replace(face_at(0, 0), landmarks=np.zeros((5, 2), np.float32))
    assert 0 <= merit_of(face, CROP).frontal <= 1


def scored(economy: Economy, fruitless: int = 0) -> Scored:
    known = Scored(economy)
    known.add(HERE, 0.8, 0.0)
    for _ in range(fruitless):
        known.add(HERE, 0.7, 0.0)
    return known


@pytest.mark.parametrize(
    ("merit", "gains"),
    [
        (HERE, False),
        (replace(HERE, size=102), False),
        (replace(HERE, size=110), True),
        (replace(HERE, sharpness=60), True),
        (replace(HERE, frontal=1.1), True),
        (replace(HERE, sharpness=20, size=90), False),
    ],
)
def test_who_has_been_scored_in_vain_has_to_promise_more(merit: Merit, gains: bool) -> None:
    assert scored(Economy(patience=5), fruitless=5).may_gain(merit, 0.1, 0.8) is gains


def test_scores_waver_so_that_at_first_a_little_less_is_scored_too() -> None:
    less, much_less = replace(HERE, sharpness=45), replace(HERE, sharpness=25)
    assert scored(Economy()).may_gain(less, 0.1, 0.8) and not scored(Economy()).may_gain(much_less, 0.1, 0.8)
    assert not scored(Economy(), fruitless=60).may_gain(less, 0.1, 0.8)
    assert not scored(Economy(doubt=0)).may_gain(less, 0.1, 0.8)


def test_after_a_while_it_is_scored_whatever_it_looks_like() -> None:
    worse = replace(HERE, sharpness=1)
    assert not scored(Economy(0.5)).may_gain(worse, 0.4, 0.8) and scored(Economy(0.5)).may_gain(worse, 0.5, 0.8)
    assert scored(Economy(0)).may_gain(worse, 0.0, 0.8)


def test_a_face_that_was_better_than_its_merit_says_rules_nothing_out() -> None:
    known = Scored(Economy(doubt=0))
    known.add(HERE, 0.9, 0.0)
    assert known.may_gain(HERE, 0.1, best=0.8), "what that face got is above the best that counts"


def test_what_is_remembered_stays_small() -> None:
    known = Scored(Economy())
    for n in range(1000):
        known.add(Merit(n, 1000 - n, 0.5), 0.5, 0.0)
    assert len(known._known) <= 16

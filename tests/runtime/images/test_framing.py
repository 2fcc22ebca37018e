"""The table of framings: every framing that a card can name, and what it makes of a face."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from fiqa_runtime.artefact.spec import Framing
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.images.align import METHODS, STANDARD, Method, arcface_crop, ffhq_crop
from fiqa_runtime.images.framing import FRAMES, frame_of
from fiqa_runtime.images.seeded import seeded_image

PHOTO = seeded_image(0, 200, 240)
LANDMARKS = STANDARD + np.array([60, 40], np.float32)


def test_every_framing_has_an_entry() -> None:
    assert set(FRAMES) == set(get_args(Framing))
    assert {model.input.framing for model in MODELS.values()} <= set(FRAMES)


@pytest.mark.parametrize("method", METHODS)
def test_the_arcface_crop_is_aligned_as_asked(method: Method) -> None:
    cut = FRAMES["arcface-112"].cut
    assert cut is not None
    np.testing.assert_array_equal(cut(PHOTO, LANDMARKS, method), arcface_crop(PHOTO, LANDMARKS, method))


def test_the_whole_head_is_cut_the_same_way_whatever_the_alignment() -> None:
    cut = FRAMES["ffhq"].cut
    assert cut is not None
    for method in METHODS:
        np.testing.assert_array_equal(cut(PHOTO, LANDMARKS, method), ffhq_crop(PHOTO, LANDMARKS))


def test_five_landmarks_do_not_give_portraits_and_photos_need_none() -> None:
    portrait, photo = frame_of(MODELS["dsl-fiqa"].input), frame_of(MODELS["yunet-s"].input)
    assert (portrait.cut, portrait.landmarks) == (None, 68)
    assert (photo.cut, photo.landmarks) == (None, 0)

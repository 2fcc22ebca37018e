"""What a conversion is judged on: how many images of which kind."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_calibration.parity_set import squared
from fiqa_export.models import build
from fiqa_export.verdict.judgement import parity_set
from fiqa_export.verdict.recipe import FP16, FP32, INT8, Recipe
from fiqa_runtime.images.ladder import KINDS
from fiqa_runtime.images.sample_pictures import FRAMINGS, default_pictures


@pytest.mark.parametrize(
    ("name", "recipe", "weights", "seeded", "pictures"),
    [
        ("ediffiqa-t", FP32, "standin", 32, 0),
        ("ediffiqa-t", FP16, "standin", 8, 8),
        ("ediffiqa-t", INT8, "seeded", 320, 1),
        ("cr-fiqa-s", INT8, "official", 8, 4),
        ("ifqa", INT8, "official", 8, 1),
        ("yunet-s", INT8, "official", 8, 8),
        ("yunet-s", INT8, "seeded", 8, 1),
        ("facexformer", INT8, "official", 8, 0),
    ],
)
def test_images_without_photos(name: str, recipe: Recipe, weights: str, seeded: int, pictures: int) -> None:
    found = parity_set(build(name), recipe, weights, None)
    assert (found.seeded, len(found.pictures)) == (seeded, pictures)
    assert len(found) == seeded + (15 if name == "yunet-s" else 36) * pictures


def test_framings_of_the_portrait() -> None:
    pictures = default_pictures(len(FRAMINGS))
    assert len({picture.tobytes() for picture in pictures}) == 8
    assert {picture.shape for picture in pictures} == {(256, 256, 3)}
    assert np.array_equal(pictures[1], pictures[0][:, ::-1])
    assert all(np.array_equal(a, b) for a, b in zip(pictures, default_pictures(8), strict=True))
    assert np.array_equal(default_pictures()[0], pictures[0])


def test_a_detector_is_judged_on_photos_of_their_own_shape(tmp_path: Path) -> None:
    photo = np.full((60, 100, 3), 200, np.uint8)
    cv2.imwrite(str(tmp_path / "photo.png"), photo)
    found = parity_set(build("yunet-s"), INT8, "official", tmp_path)
    images = list(found)
    image, pristine = images[found.seeded]
    assert pristine is not None
    assert {rung.kind for _, rung in images if rung} == {pristine.kind, *KINDS}
    assert len(images) == len(found) == found.seeded + 1 + 2 * len(KINDS)
    assert image.shape == (320, 320, 3)
    assert (image[: 60 * 320 // 100] == 200).all()
    assert not image[60 * 320 // 100 :].any()


@pytest.mark.parametrize("shape", [(40, 60, 3), (60, 40, 3), (40, 40, 3)])
def test_squared_adds_black_only(shape: tuple[int, int, int]) -> None:
    picture = np.full(shape, 7, np.uint8)
    square = squared(picture)
    side = max(shape)
    assert square.shape == (side, side, 3)
    assert (square[: shape[0], : shape[1]] == 7).all()
    assert square.sum() == picture.sum()

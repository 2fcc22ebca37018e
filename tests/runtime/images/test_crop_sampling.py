"""Crops and landmark vectors of DSL-FIQA are the published script's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.crop_sampling import (
    all_visible,
    crop_offsets,
    crop_stream,
    cut,
    landmark_vector,
    visible_landmarks,
)
from numpy.typing import NDArray

from tests.help.samples.golden_samples import synthetic_landmarks


@pytest.fixture(scope="module")
def document(golden: Callable[[str], Any]) -> dict[str, Any]:
    return dict(golden("dsl-fiqa"))


@pytest.fixture
def landmarks() -> NDArray[np.float32]:
    """The golden's landmarks."""
    return synthetic_landmarks()


def test_offsets_of_a_first_picture(document: dict[str, Any]) -> None:
    for size, wanted in document["crop_offsets_other_sizes"].items():
        height, width = (int(side) for side in size.split("x"))
        offsets = crop_offsets(height, width, 20, crop_stream())
        assert offsets == [tuple(offset) for offset in wanted], size
    assert offsets[:3] != crop_offsets(height, width, 3, crop_stream(21))


def test_one_stream_over_a_list_of_pictures(document: dict[str, Any]) -> None:
    stream = crop_stream()
    first, second = (crop_offsets(512, 512, 20, stream) for _ in range(2))
    assert first == [tuple(offset) for offset in document["full_image"]["offsets_top_left"]]
    after = document["conditioned"]["order_dependence"]["offsets_after_A"]
    assert second == [tuple(offset) for offset in after]


@pytest.mark.parametrize(("height", "width"), [(512, 512), (385, 512), (600, 450), (401, 2000)])
def test_offsets_follow_the_written_rule(height: int, width: int) -> None:
    words = np.random.RandomState(20)

    def draw(choices: int) -> int:
        mask = (1 << (choices - 1).bit_length()) - 1
        while mask:
            value = int.from_bytes(words.bytes(4), "little") & mask
            if value < choices:
                return value
        return 0

    wanted = [(draw(height - 384), draw(width - 384)) for _ in range(200)]
    assert crop_offsets(height, width, 200, crop_stream()) == wanted


@pytest.mark.parametrize(("height", "width"), [(384, 512), (512, 384), (100, 100)])
def test_too_small_a_picture(height: int, width: int) -> None:
    with pytest.raises(InputError, match="too small"):
        crop_offsets(height, width, 20, crop_stream())


def test_crops_are_views_at_their_offsets() -> None:
    image = np.random.default_rng(0).integers(0, 256, (400, 420, 3), dtype=np.uint8)
    crops = cut(image, [(0, 0), (15, 35)])
    assert [crop.shape for crop in crops] == [(384, 384, 3)] * 2
    assert all(np.shares_memory(crop, image) for crop in crops)
    assert np.array_equal(crops[1][0, 0], image[15, 35])


def test_visible_sets(document: dict[str, Any], landmarks: NDArray[np.float32]) -> None:
    section = document["full_image"]
    for offset, wanted in zip(section["offsets_top_left"], section["visible_landmarks"], strict=True):
        assert visible_landmarks(landmarks, tuple(offset)) == wanted


def test_visibility_includes_all_four_bounds() -> None:
    edges = np.array([[20, 10], [404, 10], [20, 394], [404, 394]], np.float32)
    assert visible_landmarks(edges, (10, 20)) == [0, 1, 2, 3]
    outwards = np.array([[-1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    assert visible_landmarks(np.nextafter(edges, edges + outwards), (10, 20)) == []


def test_all_visible() -> None:
    offsets = crop_offsets(512, 512, 20, crop_stream())
    corners = np.array([[125, 127], [400, 387]], np.float32)
    assert all_visible(corners, offsets)
    for outside in ([124, 200], [401, 200], [200, 126], [200, 388]):
        assert not all_visible(np.array([*corners, outside], np.float32), offsets)


def test_landmark_vectors(document: dict[str, Any]) -> None:
    for entry in document["inputs"]:
        visible = entry["visible_landmarks"]
        vector = landmark_vector(visible)
        assert vector.shape == (500,)
        assert vector.dtype == np.float32
        assert vector[: len(visible)].tolist() == entry["landmark_vector_visible"]
        assert set(vector[len(visible) :].tolist()) == {entry["landmark_vector_filler"]}


@pytest.mark.parametrize(("low", "filler"), [(0, 1.0), (1, 1.0), (2, 0.99999994), (67, 0.99999899)])
def test_filler_of_the_landmark_vector(low: int, filler: float) -> None:
    vector = landmark_vector([low])
    assert vector[0] == -1
    assert vector[499] == np.float32(filler)


def test_too_many_visible_landmarks() -> None:
    assert landmark_vector(range(499), landmarks=600)[498] < 1
    with pytest.raises(InputError, match="too many"):
        landmark_vector(range(500), landmarks=600)

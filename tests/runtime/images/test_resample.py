"""Our resize is Pillow's to the bit, in the pass order that Pillow had up to version 12."""

from __future__ import annotations

import tracemalloc

import numpy as np
import PIL
import pytest
from fiqa_runtime.images.resample import _ROWS, Filter, _weights, pillow_resize
from numpy.typing import NDArray
from PIL import Image

FILTERS: dict[Filter, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}
REORDERS = int(PIL.__version__.split(".")[0]) >= 13
"""Pillow 13 resizes some images that shrink in height vertically first."""


def random_image(stream: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """Noise at the outer values, where a wrong rounding or a missing clip shows."""
    return stream.choice(np.array([0, 1, 127, 128, 254, 255], np.uint8), (height, width, 3))


def by_pillow(image: NDArray[np.uint8], height: int, width: int, kind: Filter) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).resize((width, height), FILTERS[kind]))


@pytest.mark.parametrize("kind", FILTERS)
def test_one_pass(kind: Filter) -> None:
    stream = np.random.default_rng(1)
    for source, target in stream.integers(1, 600, (60, 2)):
        image = random_image(stream, source, 5)
        assert np.array_equal(pillow_resize(image, target, 5, kind), by_pillow(image, target, 5, kind))
        image = image.transpose(1, 0, 2).copy()
        assert np.array_equal(pillow_resize(image, 5, target, kind), by_pillow(image, 5, target, kind))


@pytest.mark.parametrize("kind", FILTERS)
def test_both_passes(kind: Filter) -> None:
    stream = np.random.default_rng(2)
    reordered = 0
    for height, width, to_height, to_width in stream.integers(1, 300, (60, 4)):
        image = random_image(stream, height, width)
        ours, theirs = (resize(image, to_height, to_width, kind) for resize in (pillow_resize, by_pillow))
        if not np.array_equal(ours, theirs):
            assert REORDERS and to_height < height, (height, width, to_height, to_width)
            ours = pillow_resize(pillow_resize(image, to_height, width, kind), to_height, to_width, kind)
            assert np.array_equal(ours, theirs), (height, width, to_height, to_width)
            reordered += 1
    assert reordered < 30


@pytest.mark.parametrize("kind", FILTERS)
def test_sizes_of_the_networks(kind: Filter) -> None:
    stream = np.random.default_rng(3)
    for height, width, side in ((304, 271, 512), (512, 512, 224), (180, 150, 112), (64, 48, 112)):
        image = random_image(stream, height, width)
        assert np.array_equal(pillow_resize(image, side, side, kind), by_pillow(image, side, side, kind))


@pytest.mark.parametrize("kind", FILTERS)
def test_same_size_is_untouched(kind: Filter) -> None:
    image = random_image(np.random.default_rng(4), 7, 9)
    assert pillow_resize(image, 7, 9, kind) is image


@pytest.mark.parametrize("height", [_ROWS - 1, _ROWS, 2 * _ROWS + 1])
def test_blocks_of_rows_join_without_a_seam(height: int) -> None:
    image = random_image(np.random.default_rng(5), height, 50)
    assert np.array_equal(pillow_resize(image, height, 30, "bicubic"), by_pillow(image, height, 30, "bicubic"))


def test_a_large_photo_is_never_whole_in_float64() -> None:
    image = np.zeros((4000, 1000, 3), np.uint8)
    tracemalloc.start()
    try:
        pillow_resize(image, 64, 64, "bilinear")
        assert tracemalloc.get_traced_memory()[1] < image.size * 8 / 4
    finally:
        tracemalloc.stop()


def test_few_weights_are_kept() -> None:
    for source in range(20, 40):
        pillow_resize(np.zeros((source, source, 3), np.uint8), 10, 10, "bilinear")
    assert _weights.cache_info().currsize <= 4

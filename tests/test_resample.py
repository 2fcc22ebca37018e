"""Our resize is Pillow's to the bit, in the pass order that Pillow had up to version 12."""

from __future__ import annotations

import numpy as np
import PIL
import pytest
from fiqa_runtime.resample import Filter, pillow_resize
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

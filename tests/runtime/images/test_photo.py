"""A photo may come as an array, as a path and as a Pillow picture: every form gives the same pixels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.photo import as_image
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image

PIL = pytest.importorskip("PIL.Image")


def test_array_path_and_picture_are_the_same(tmp_path: Path) -> None:
    image = seeded_image(0, 30, 40)
    cv2.imwrite(str(tmp_path / "photo.png"), image)
    for photo in (image, tmp_path / "photo.png", str(tmp_path / "photo.png"), PIL.open(tmp_path / "photo.png")):
        np.testing.assert_array_equal(as_image(photo), image)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_picture_is_upright_in_every_form(tmp_path: Path, orientation: int) -> None:
    picture = PIL.fromarray(seeded_image(1, 30, 40)[:, :, ::-1])
    exif = PIL.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(as_image(PIL.open(tmp_path / "turned.png")), read_image(tmp_path / "turned.png"))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "LA"])
def test_pictures_of_eight_bits_become_bgr(mode: str) -> None:
    found = as_image(PIL.new("RGB", (5, 4), (200, 20, 90)).convert(mode))
    assert found.shape == (4, 5, 3) and found.dtype == np.uint8
    if mode in ("P", "RGBA"):
        assert np.abs(found[0, 0].astype(int) - (90, 20, 200)).max() < 40


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_more_than_eight_bits_are_refused(mode: str) -> None:
    with pytest.raises(InputError, match="has no 8-bit values; convert it to RGB first"):
        as_image(PIL.new(mode, (5, 4)))


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        as_image(tmp_path / "nowhere.png")

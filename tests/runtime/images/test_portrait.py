"""The way from a face box to the upright picture is the published landmark script's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.portrait import (
    crop_bounds,
    darken,
    portrait_landmarks,
    roll_angle,
    rotate,
    upright_portrait,
)
from numpy.typing import NDArray
from PIL import Image

from tests.help.samples.golden_samples import picture


@pytest.fixture(scope="module")
def document(golden: Callable[[str], Any]) -> dict[str, Any]:
    return dict(golden("facexformer"))


def network_with_eyes(left: list[float], right: list[float]) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Stands for FaceXFormer: puts the two eye points at these pixels of its 512 x 512 input."""

    def landmarks(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        assert image.shape == (512, 512, 3)
        points = np.zeros((68, 2))
        points[38], points[47] = left, right
        return (((2 * points + 1) / 512) - 1).astype(np.float32)

    return landmarks


@pytest.mark.parametrize("number", range(4))
def test_upright_portrait_with_known_eyes(document: dict[str, Any], images_dir: Path, number: int) -> None:
    entry = document["crop_and_align"][number]
    image = picture(entry, images_dir)
    box, margin = entry["box_xyxy"], entry["margin_percent"]
    assert crop_bounds(box, image.shape[0], image.shape[1], margin) == tuple(entry["crop_box_int"])
    eyes = entry["eye_left_px"], entry["eye_right_px"]
    assert roll_angle(*eyes) == pytest.approx(entry["direction"] * entry["angle_deg"], abs=1e-10)
    level = [256.0, 256.0]
    for name, points in (("before_rotation", (level, level)), ("aligned", eyes)):
        pixels = upright_portrait(image, box, network_with_eyes(*points), margin)[..., ::-1]
        assert list(pixels.shape) == entry[name]["shape"]
        differ = pixels.ravel()[entry[name]["flat_index"]] != entry[name]["values"]
        assert differ.sum() == 0, name
        assert pixels.mean() == pytest.approx(entry[name]["mean"], abs=1e-9), name


def test_roll_angles(document: dict[str, Any]) -> None:
    for case in document["rotation_cases"]:
        angle = roll_angle(case["left_eye"], case["right_eye"])
        assert angle == pytest.approx(case["counterclockwise_rotation_deg"], abs=1e-11), case


def test_values_that_the_first_pass_lowers(document: dict[str, Any]) -> None:
    grey = np.arange(256, dtype=np.uint8)
    image = np.repeat(grey[None, :, None], 3, axis=2)
    for channel, name in enumerate("BGR"):
        lowered = grey - darken(image)[0, :, channel]
        assert np.flatnonzero(lowered).tolist() == document["first_pass_truncation"][name]
        assert lowered.max() == 1


@pytest.mark.parametrize(("height", "width"), [(512, 512), (37, 64), (64, 37)])
def test_rotation_is_pillows(height: int, width: int) -> None:
    stream = np.random.default_rng(0)
    image = stream.integers(0, 256, (height, width, 3), dtype=np.uint8)
    for angle in (0.0, 90.0, -90.0, 180.0, 45.0, 1e-9, *stream.uniform(-180, 180, 40)):
        wanted = np.asarray(Image.fromarray(image).rotate(float(angle)))
        assert np.array_equal(rotate(image, float(angle)), wanted), angle


def test_landmarks_of_a_picture_come_from_224_pixels() -> None:
    seen = []

    def corners(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(image)
        return np.tile(np.array([-1, 1], np.float32), (1, 68))

    points = portrait_landmarks(np.full((512, 512, 3), 7, np.uint8), corners)
    assert seen[0].shape == (224, 224, 3)
    assert points.shape == (68, 2)
    assert points.dtype == np.float32
    assert points[0] == pytest.approx([-0.5 * 512 / 224, 223.5 * 512 / 224])


@pytest.mark.parametrize("box", [(300, 10, 400, 50), (-90, 10, -80, 20), (50, 50, 50, 50)])
def test_box_outside_the_image(box: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="face box"):
        crop_bounds(box, 100, 200, 10)

"""Five landmarks -> crops: goldens of the ArcFace alignment, geometry of the FFHQ frame."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.align import METHODS, STANDARD, arcface_crop, check_method, ffhq_crop, least_squares, lmeds
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image

HASH = "sha256_opencv_5.0.0" if cv2.__version__.startswith("5.") else "sha256_opencv_4.13.0"
KEYS = {"least-squares": "least_squares_standard", "lmeds": "lmeds"}
FACE = np.array([[100, 120], [160, 122], [130, 150], [108, 185], [152, 186]], np.float32)


def umeyama(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The similarity by singular value decomposition."""
    p, q = source - source.mean(0), target - target.mean(0)
    covariance = q.T @ p / len(p)
    u, s, vt = np.linalg.svd(covariance)
    d = np.array([1.0, np.sign(np.linalg.det(covariance)) or 1.0])
    linear = (s * d).sum() / (p**2).sum(1).mean() * (u * d) @ vt
    return np.column_stack([linear, target.mean(0) - linear @ source.mean(0)])


def test_least_squares_matches_the_golden(golden: Callable[[str], Any]) -> None:
    faces = golden("alignment")["faces"]
    for face in faces:
        expected = np.array(face["least_squares_standard"]["matrix"])
        matrix = least_squares(np.array(face["landmarks"], np.float32))
        np.testing.assert_allclose(matrix, expected, rtol=1e-9, atol=1e-9)
    assert len(faces) == 36


def test_least_squares_is_umeyamas() -> None:
    stream = np.random.default_rng(0)
    for _ in range(200):
        landmarks = stream.normal(100, 40, (5, 2))
        expected = umeyama(landmarks, STANDARD.astype(np.float64))
        np.testing.assert_allclose(least_squares(landmarks), expected, rtol=1e-9, atol=1e-9)


def test_lmeds_matches_the_golden(golden: Callable[[str], Any]) -> None:
    for face in golden("alignment")["faces"]:
        expected = np.array(face["lmeds"]["matrix"])
        matrix = lmeds(np.array(face["landmarks"], np.float32))
        np.testing.assert_allclose(matrix[:, :2], expected[:, :2], rtol=0, atol=2e-5)
        np.testing.assert_allclose(matrix[:, 2], expected[:, 2], rtol=0, atol=3e-3)


@pytest.mark.parametrize("method", METHODS)
def test_crops_match_the_golden(golden: Callable[[str], Any], images_dir: Path, method: str) -> None:
    same = 0
    faces = golden("alignment")["faces"]
    for face in faces:
        image = read_image(images_dir / face["file"])
        crop = arcface_crop(image, np.array(face["landmarks"], np.float32), check_method(method))
        assert crop.shape == (112, 112, 3)
        expected = face[KEYS[method]]["crop"]
        means = crop.reshape(4, 28, 4, 28, 3).mean(axis=(1, 3)).ravel()
        np.testing.assert_allclose(means, expected["block_means_bgr"], rtol=0, atol=0.15)
        same += hashlib.sha256(crop.tobytes()).hexdigest() == expected[HASH]
    if cv2.__version__ in ("5.0.0", "4.13.0", "4.8.1") and platform.machine() == "x86_64":
        assert same == len(faces)


def test_methods_are_known_by_name() -> None:
    assert check_method("lmeds") == "lmeds"
    with pytest.raises(InputError, match="choose least-squares or lmeds"):
        check_method("ransac")


@pytest.mark.parametrize("turn", [0.0, 0.4, -1.2, 3.0])
@pytest.mark.parametrize("flat", [1.0, 0.5])
def test_the_ffhq_frame_is_the_published_quadrilateral(turn: float, flat: float) -> None:
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    landmarks = (np.array([[-9, -8], [9, -8], [0, 0], [-7, 11], [7, 11]]) * [1, flat]) @ rotation.T + 128
    y, x = np.mgrid[:256, :256]
    crop = ffhq_crop(np.dstack([x, y, x]).astype(np.uint8), landmarks, size=64)

    eye_to_eye = landmarks[1] - landmarks[0]
    eyes, mouth = landmarks[:2].mean(0), landmarks[3:].mean(0)
    along = eye_to_eye - (mouth - eyes)[::-1] * [-1, 1]
    along *= max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*(mouth - eyes)) * 1.8) / np.hypot(*along)
    down = along[::-1] * [-1, 1]
    centre = eyes + (mouth - eyes) * 0.1
    steps = (np.arange(64) + 0.5) / 32 - 1
    expected = centre + steps[None, :, None] * along + steps[:, None, None] * down
    assert np.abs(crop[..., :2] - expected).max() < 1.0


def test_ffhq_crops_of_large_faces_are_anti_aliased() -> None:
    checks = (np.indices((1200, 1200)).sum(0) % 2 * 255).astype(np.uint8)
    crop = ffhq_crop(np.dstack([checks] * 3), FACE * 4, size=64)
    assert crop.shape == (64, 64, 3)
    assert np.abs(crop.astype(int) - 127).max() < 40


def test_only_the_arcface_crop_has_black_wedges() -> None:
    white = np.full((200, 200, 3), 255, np.uint8)
    near_the_corner = FACE - [95, 115]
    assert ffhq_crop(white, near_the_corner).min() == 255
    assert arcface_crop(white, near_the_corner).min() == 0


@pytest.mark.parametrize("crop", [arcface_crop, ffhq_crop])
def test_landmarks_that_are_no_face_are_refused(crop: Callable[..., object]) -> None:
    image = seeded_image(0, 50, 50)
    for landmarks in (np.zeros((5, 2)), np.full((5, 2), np.nan)):
        with pytest.raises(InputError, match="coincide"):
            crop(image, landmarks)
    with pytest.raises(InputError, match=r"shape \(5, 2\)"):
        crop(image, np.zeros((4, 2)))


def test_lmeds_refuses_landmarks_without_extent() -> None:
    with pytest.raises(InputError, match="use least-squares"):
        lmeds(np.zeros((5, 2), np.float32))
    with pytest.raises(InputError, match=r"shape \(5, 2\)"):
        lmeds(np.zeros((4, 2), np.float32))


@pytest.mark.parametrize("crop", [arcface_crop, ffhq_crop])
def test_images_that_cannot_be_warped_are_refused(crop: Callable[..., object]) -> None:
    with pytest.raises(InputError, match="32766 pixels; shrink"):
        crop(np.zeros((2, 32767, 3), np.uint8), FACE)
    with pytest.raises(InputError, match="uint8 BGR"):
        crop(np.zeros((9, 9), np.uint8), FACE)
    assert np.asarray(crop(np.zeros((300, 32766, 3), np.uint8), FACE)).max() == 0

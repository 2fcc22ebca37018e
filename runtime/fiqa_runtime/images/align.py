"""Five landmarks -> the crop that a quality network wants.

Landmarks are (5, 2) x, y in pixels, pixel centres at integers, in the order right eye, left eye, nose tip,
right mouth corner, left mouth corner of the subject: left to right in an upright picture. Matrices are (2, 3)
and map points of the image to points of the crop.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image, check_image

Method = Literal["least-squares", "lmeds"]
METHODS: tuple[Method, ...] = get_args(Method)
Matrix = NDArray[np.float64]

ARCFACE_SIZE = 112
STANDARD = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]],
    np.float32,
)
"""Where the landmarks belong in a 112 x 112 ArcFace crop. In single precision, as recognition code has it."""
DEMO = STANDARD.copy()
DEMO[4, 0] = 70.729904
"""The same template as OpenCV's eDifFIQA demo writes it; one number differs by 4e-6 px."""

LONGEST_SIDE = 32766
"""OpenCV 4 cannot warp a longer image."""
_FINEST = 16


def check_method(name: str) -> Method:
    """`name` if it is one of :data:`METHODS`; raises InputError otherwise."""
    for method in METHODS:
        if name == method:
            return method
    raise InputError(f"unknown alignment '{name}'; choose {' or '.join(METHODS)}")


def least_squares(landmarks: NDArray[np.floating]) -> Matrix:
    """The similarity that brings (5, 2) landmarks nearest to :data:`STANDARD` (Umeyama), (2, 3) float64.

    With points as complex numbers the optimum has a closed form, the same as by singular value decomposition.
    Raises InputError where the five points coincide or are not finite.
    """
    source, target = _complex(landmarks), _complex(STANDARD)
    source_mean, target_mean = source.mean(), target.mean()
    source, target = source - source_mean, target - target_mean
    spread = (np.abs(source) ** 2).sum()
    _check_extent(spread)
    turn = (target * source.conj()).sum() / spread
    return _matrix(turn, target_mean - turn * source_mean)


def lmeds(landmarks: NDArray[np.floating]) -> Matrix:
    """The similarity that OpenCV's eDifFIQA demo uses, least median of squares, (2, 3) float64.

    It may leave landmarks out, and jumps when they move a little, so it is for parity with the demo only.
    Raises InputError where OpenCV finds no similarity.
    """
    matrix, _ = cv2.estimateAffinePartial2D(_points(landmarks).astype(np.float32), DEMO, method=cv2.LMEDS)
    if matrix is None:
        raise InputError("LMEDS finds no alignment for these landmarks; use least-squares")
    return np.asarray(matrix, np.float64)


def arcface_crop(image: Image, landmarks: NDArray[np.floating], method: Method = "least-squares") -> Image:
    """The face of a uint8 BGR image as an aligned uint8 BGR crop (112, 112, 3).

    The crop is sampled bilinearly, without anti-aliasing, and is black beyond the image, as in recognition code and
    in what the networks' authors scored. Raises InputError for landmarks without extent and for images longer than
    :data:`LONGEST_SIDE`.
    """
    matrix = least_squares(landmarks) if method == "least-squares" else lmeds(landmarks)
    return _warp(image, matrix, ARCFACE_SIZE, cv2.BORDER_CONSTANT)


def ffhq_crop(image: Image, landmarks: NDArray[np.floating], size: int = 256) -> Image:
    """The whole head of a uint8 BGR image, framed as in FFHQ, as a uint8 BGR crop (size, size, 3).

    The frame is a square, turned with the face. Its centre lies a tenth of the way from the middle of the
    eyes to the middle of the mouth corners; half its side is 2.0 times the distance of the eyes or 1.8 times
    that from eyes to mouth, whichever is larger. (FFHQ's own eye centres come from 68 landmarks; these are
    the detector's.)

    A face that shrinks is anti-aliased: sampled on a grid at least as fine as the image, up to 16 times the
    crop's, and averaged. Beyond the image its border is mirrored, as in FFHQ but without FFHQ's blur.
    Raises InputError for landmarks without extent and for images longer than :data:`LONGEST_SIDE`.
    """
    right_eye, left_eye, _, right_mouth, left_mouth = _complex(landmarks)
    eyes = (right_eye + left_eye) / 2
    eyes_to_mouth = (right_mouth + left_mouth) / 2 - eyes
    eye_to_eye = left_eye - right_eye
    direction = eye_to_eye - 1j * eyes_to_mouth
    _check_extent(abs(direction))
    half = direction / abs(direction) * max(2.0 * abs(eye_to_eye), 1.8 * abs(eyes_to_mouth))
    centre = eyes + 0.1 * eyes_to_mouth

    finer = min(max(math.ceil(2 * abs(half) / size), 1), _FINEST)
    grid = finer * size
    turn = grid / (2 * half)
    middle = (grid - 1) / 2 * (1 + 1j)
    crop = _warp(image, _matrix(turn, middle - turn * centre), grid, cv2.BORDER_REFLECT_101)
    if finer == 1:
        return crop
    return np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA), np.uint8)


def face_box(image: Image, landmarks: NDArray[np.floating]) -> Image:
    """The square part of a uint8 BGR image around a face, (S, S, 3), as a face detector's box shows it, upright.

    Its centre is the middle between eyes and mouth corners, and its side the larger of 2.6 times the distance of the
    eyes and 2.6 times that from eyes to mouth; it is moved into the image where it reaches beyond. Raises InputError
    for landmarks without extent.
    """
    right_eye, left_eye, _, right_mouth, left_mouth = _complex(landmarks)
    eyes, mouth = (right_eye + left_eye) / 2, (right_mouth + left_mouth) / 2
    reach = max(abs(left_eye - right_eye), abs(mouth - eyes))
    _check_extent(reach)
    height, width = image.shape[:2]
    side = max(min(round(2.6 * reach), height, width), 1)
    centre = (eyes + mouth) / 2
    left, top = (
        min(max(round(middle - side / 2), 0), length - side)
        for middle, length in ((centre.real, width), (centre.imag, height))
    )
    return image[top : top + side, left : left + side]


def _warp(image: Image, matrix: Matrix, size: int, border: int) -> Image:
    check_image(image)
    if max(image.shape[:2]) > LONGEST_SIDE:
        raise InputError(f"the image is longer than {LONGEST_SIDE} pixels; shrink or cut it first")
    return np.asarray(cv2.warpAffine(image, matrix, (size, size), borderMode=border), np.uint8)


def _check_extent(extent: float) -> None:
    if not (math.isfinite(extent) and extent > 0):
        raise InputError("the landmarks coincide or are not finite; pass those of a detected face")


def _points(landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
    if np.shape(landmarks) != (5, 2):
        raise InputError(f"landmarks have shape {np.shape(landmarks)}; pass x, y of five points, shape (5, 2)")
    return np.asarray(landmarks, np.float64)


def _complex(landmarks: NDArray[np.floating]) -> NDArray[np.complex128]:
    x, y = _points(landmarks).T
    return np.asarray(x + 1j * y, np.complex128)


def _matrix(turn: complex, shift: complex) -> Matrix:
    """z -> turn * z + shift as a (2, 3) matrix."""
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])

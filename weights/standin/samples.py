"""Training samples of the stand-in: crops of a few public-domain pictures, degraded by a known amount."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import cv2
import numpy as np
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.images.align import ARCFACE_SIZE, least_squares
from fiqa_runtime.images.ladder import degrade
from fiqa_runtime.images.preprocess import Image
from numpy.typing import NDArray

SIZE = ARCFACE_SIZE
Stream = np.random.Generator
Sample = tuple[Image, NDArray[np.float32]]


@dataclass(frozen=True)
class Picture:
    """A file inside an installed package; its rights are told in README.md."""

    package: str
    path: str
    sha256: str
    landmarks: tuple[tuple[float, float], ...] | None = None
    """Five points of the one face that is used, in the order of `fiqa_runtime.images.align`; found once with YuNet
    2023mar."""


PICTURES = (
    Picture(
        "skimage",
        "data/astronaut.png",
        "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        ((200.12, 101.82), (247.13, 102.62), (220.37, 124.54), (198.61, 142.77), (239.67, 143.64)),
    ),
    Picture(
        "matplotlib",
        "mpl-data/sample_data/grace_hopper.jpg",
        "a8ca6d734765703b09728ab47fe59f473d93ae3967fc24c7c0288c3c7adb7130",
        ((227.12, 193.33), (307.85, 195.37), (266.48, 240.01), (228.51, 267.87), (302.19, 269.57)),
    ),
    Picture("skimage", "data/camera.png", "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a"),
    Picture("skimage", "data/chelsea.png", "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb"),
    Picture("skimage", "data/coffee.png", "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7"),
)
"""Two faces of works of the US government, and three CC0 pictures for texture."""

ORDER = ("occlusion", "darkening", "overexposure", "blur", "resampling", "noise", "jpeg")
"""Degradations in the order in which a picture suffers them: scene, light, lens, sensor, file."""

Loaded = list[tuple[Image, NDArray[np.float64] | None]]


def load_pictures() -> Loaded:
    """uint8 BGR pictures with the (5, 2) landmarks of their face, if any.

    Raises DependencyError where a package is missing, InputError where it holds another picture.
    """
    return [(read_picture(p), np.array(p.landmarks) if p.landmarks else None) for p in PICTURES]


def batch(pictures: Loaded, size: int, stream: Stream) -> tuple[list[Image], NDArray[np.float32]]:
    """`size` crops uint8 BGR (112, 112, 3) and how strongly each is degraded, (size, 7) in 0..1, columns as ORDER."""
    samples: list[Sample] = []
    while len(samples) < size:
        samples += _siblings(pictures, stream)
    crops, amounts = zip(*samples[:size], strict=True)
    return list(crops), np.stack(amounts)


def _siblings(pictures: Loaded, stream: Stream) -> Iterator[Sample]:
    """One crop, degraded twice in the same ways by different amounts: what differs is quality alone."""
    crop = _accident(_crop(pictures, stream), stream)
    count = int(stream.choice(3, p=(0.08, 0.74, 0.18)))
    kinds = sorted(stream.choice(len(ORDER), count, replace=False))
    for _ in range(2 if kinds else 1):
        degraded, amounts = crop, np.zeros(len(ORDER), np.float32)
        for kind in kinds:
            amounts[kind] = stream.uniform()
            degraded, _ = degrade(degraded, ORDER[kind], float(amounts[kind]), stream)
        yield degraded, amounts


def _crop(pictures: Loaded, stream: Stream) -> Image:
    faces = [(image, landmarks) for image, landmarks in pictures if landmarks is not None]
    patch = _patch(pictures[stream.integers(len(pictures))][0], stream)
    if stream.uniform() < 0.4:
        return patch
    image, landmarks = faces[stream.integers(len(faces))]
    face = _face(image, landmarks, stream)
    return _behind(face, patch, stream) if stream.uniform() < 0.3 else face


def _face(image: Image, landmarks: NDArray[np.float64], stream: Stream) -> Image:
    """The aligned crop, jittered: mirrored, turned, stretched, moved."""
    angle, middle = stream.normal(0, 0.1), (SIZE - 1) / 2
    stretch = np.diag(np.exp(stream.normal(0, 0.08) + stream.normal(0, 0.05, 2)))
    if stream.uniform() < 0.5:
        stretch[0, 0] *= -1
    turn = stretch @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ least_squares(landmarks)
    matrix[:, 2] += middle - turn @ (middle, middle) + stream.normal(0, 3, 2)
    return _warp(image, matrix, stream)


def _patch(image: Image, stream: Stream) -> Image:
    """A square of 112 to 300 pixels with something in it."""
    for _ in range(20):
        side = int(stream.integers(SIZE, min(300, *image.shape[:2]) + 1))
        left, top = (int(stream.integers(0, length - side + 1)) for length in image.shape[1::-1])
        scale = SIZE / side
        matrix = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
        patch = _warp(image, matrix, stream)
        if cv2.Laplacian(patch, cv2.CV_64F).std() > 12:
            break
    return patch[:, ::-1].copy() if stream.uniform() < 0.5 else patch


def _warp(image: Image, matrix: NDArray[np.float64], stream: Stream) -> Image:
    """With or without anti-aliasing, as aligners differ; black beyond the image."""
    finer = int(stream.integers(1, 4))
    large = matrix * finer
    large[:, 2] += (finer - 1) / 2
    warped = cv2.warpAffine(image, large, (SIZE * finer, SIZE * finer))
    return _u8(cv2.resize(warped, (SIZE, SIZE), interpolation=cv2.INTER_AREA))


def _behind(face: Image, background: Image, stream: Stream) -> Image:
    """The face cut out along an ellipse in front of something else."""
    mask = np.zeros((SIZE, SIZE), np.float32)
    axes = (int(stream.integers(38, 56)), int(stream.integers(50, 66)))
    cv2.ellipse(mask, (SIZE // 2, SIZE // 2 + 8), axes, 0, 0, 360, 1.0, -1)
    soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), stream.uniform(0.7, 3)))[..., None]
    return _u8(soft * face + (1 - soft) * background)


def _accident(crop: Image, stream: Stream) -> Image:
    """What differs between good photos and must not count: colour, light, softness, grain, compression, black edges."""
    values = crop.astype(np.float64) / 255
    grey = values @ (0.114, 0.587, 0.299)
    saturation = 0.0 if stream.uniform() < 0.25 else stream.uniform(0.3, 1.2)
    values = grey[..., None] + saturation * (values - grey[..., None])
    values = np.clip(values * np.exp(stream.normal(0, 0.08, 3)), 0, 1) ** np.exp(stream.normal(0, 0.2))
    values = 0.5 + (values - 0.5) * stream.uniform(0.8, 1.25) + stream.normal(0, 0.03)
    if stream.uniform() < 0.5:
        values = cv2.GaussianBlur(values, (0, 0), stream.uniform(0.25, 0.75))
    values += stream.uniform(0, 0.012) * stream.standard_normal(crop.shape)
    pixels = _u8(255 * values)
    if stream.uniform() < 0.5:
        coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(stream.integers(75, 96))])[1]
        pixels = _u8(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return _black_edge(pixels, stream) if stream.uniform() < 0.25 else pixels


def _black_edge(crop: Image, stream: Stream) -> Image:
    """What alignment leaves where the photo ends: black beyond a line near the border."""
    angle, distance = stream.uniform(0, 2 * np.pi), stream.uniform(36, 60)
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    return np.where((np.cos(angle) * x + np.sin(angle) * y < distance)[..., None], crop, 0).astype(np.uint8)


def read_picture(picture: Picture) -> Image:
    """uint8 BGR; raises what :func:`load_pictures` raises."""
    try:
        data = files(picture.package).joinpath(picture.path).read_bytes()
    except ModuleNotFoundError as error:
        raise DependencyError(f"{picture.package} brings a training picture; pip install 'fiqa-edge[demo]'") from error
    if hashlib.sha256(data).hexdigest() != picture.sha256:
        raise InputError(f"{picture.package} ships another {picture.path}; install the versions of constraints.txt")
    return _u8(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def _u8(values: object) -> Image:
    rounded: NDArray[np.float64] = np.rint(np.asarray(values, np.float64))
    return np.clip(rounded, 0, 255).astype(np.uint8)

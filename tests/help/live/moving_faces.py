"""Frames with known faces, a detector that knows them, and a score that a person can follow: no file is needed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import cv2
import numpy as np
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.live import Frame
from numpy.typing import NDArray

PLACES = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)


def face_at(x: float, y: float, size: float = 60, confidence: float = 0.9) -> Detection:
    """A face whose box begins at x, y."""
    corner = np.array([x, y], np.float32)
    return Detection(np.array([x, y, size, size], np.float32), PLACES * np.float32(size) + corner, confidence)


class Script:
    """A detector that finds what is written for each call, in their order; None stands for a frame it refuses."""

    name = "script"

    def __init__(self, faces: Sequence[Sequence[Detection] | None]) -> None:
        self._faces = iter(faces)
        self.calls = 0

    def detect(self, image: Image) -> list[Detection]:
        self.calls += 1
        faces = next(self._faces)
        if faces is None:
            raise InputError("this frame cannot be searched")
        return list(faces)


class Sharpness:
    """Scores a crop by the deviation of its Laplacian: what the economy looks at too."""

    def __init__(self) -> None:
        self.card = SimpleNamespace(input=replace(MODELS["ediffiqa-t"].input))
        self.scored = 0

    def score(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        self.scored += len(crops)
        return np.array([sharpness(crop) for crop in crops], np.float32)


class Given(Sharpness):
    """Scores crops by a list, in their order; None stands for one that cannot be scored."""

    def __init__(self, scores: Sequence[float | None]) -> None:
        super().__init__()
        self._scores = list(scores)

    def score(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        given = self._scores[self.scored : self.scored + len(crops)]
        if None in given:
            if len(crops) == 1:
                self.scored += 1
            raise InputError("this crop cannot be scored")
        self.scored += len(crops)
        return np.array(given, np.float32)


def sharpness(crop: Image) -> float:
    grey = cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).std()) / 100


def frames(count: int, width: int = 320, height: int = 240, rate: float = 10) -> list[Frame]:
    """`count` frames of one picture, `rate` in a second."""
    image = seeded_image(0, height, width)
    return [Frame(index, index / rate, image) for index in range(count)]

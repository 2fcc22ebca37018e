"""The table of detectors: medians per photo, by turns, without the first round."""

from __future__ import annotations

import numpy as np
from fiqa_benchmarks.readme_tables.detectors import time_detectors
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.images.preprocess import Image


class Clock:
    """A clock that only work moves on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Finder:
    """Takes as many seconds as the photo has rows, ten times as long the first time."""

    def __init__(self, clock: Clock, factor: float, calls: list[float]) -> None:
        self.clock, self.factor, self.calls, self.seen = clock, factor, calls, set[int]()

    def detect(self, image: Image) -> list[Detection]:
        first = 1 if len(image) in self.seen else 10
        self.seen.add(len(image))
        self.clock.now += first * self.factor * len(image)
        self.calls.append(self.factor)
        return []


def test_medians_by_turns_without_the_first_round() -> None:
    clock, calls = Clock(), list[float]()
    finders = {"slow": Finder(clock, 3, calls), "fast": Finder(clock, 1, calls)}
    photos = [np.zeros((rows, 8, 3), np.uint8) for rows in (2, 5)]
    assert time_detectors(finders, photos, 3, clock=clock) == {"slow": [6, 15], "fast": [2, 5]}
    assert calls == [3, 1] * (len(photos) * 4)

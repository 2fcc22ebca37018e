"""The stand-in's test: does its score fall with degradation on photos that its training never saw?"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fiqa_runtime.images.align import ARCFACE_SIZE, arcface_crop
from fiqa_runtime.images.ladder import KINDS, PRISTINE, Rung, ladders
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.scoring.agreement import spearman
from numpy.typing import NDArray

LANDMARKS = Path(__file__).parents[2] / "tests" / "golden" / "alignment.json"
EYE_DISTANCE = 25
"""Smaller faces (pixels between the eyes; a crop has 35) are blurred by enlargement before any ladder starts."""
DEGRADED = ("blur", "lowres")
"""Marks in the names of photos that come degraded."""
SEEN = "astronaut"
"""The training picture that is also among the test photos."""

Score = Callable[[Sequence[Image]], NDArray[np.float32]]


@dataclass(frozen=True)
class Ranking:
    """Spearman's correlation of the score with the strength of one kind of degradation; -1 is perfect."""

    pooled: float
    """Over all photos and strengths together."""
    mean: float
    """Mean over photos."""
    worst: float
    """Of the photo that is ranked worst."""


def unseen_crops(images: Path) -> dict[str, Image]:
    """Aligned uint8 BGR crops (112, 112, 3) by name, of every good enough face under the folder `images`."""
    crops: dict[str, Image] = {}
    for face in json.loads(LANDMARKS.read_text(encoding="utf-8"))["faces"]:
        landmarks = np.array(face["landmarks"])
        name = face["file"].lower()
        if SEEN in name or any(mark in name for mark in DEGRADED):
            continue
        image = read_image(images / face["file"])
        if image.shape[:2] == (ARCFACE_SIZE, ARCFACE_SIZE):
            crops[face["file"]] = image
        elif np.linalg.norm(landmarks[1] - landmarks[0]) >= EYE_DISTANCE:
            crops[f"{face['file']}#{face['face']}"] = arcface_crop(image, landmarks)
    return crops


def rankings(score: Score, crops: Sequence[Image]) -> dict[str, Ranking]:
    """By degradation: how `score` ranks the ladders of `crops`."""
    rungs, values = [], []
    for rung, image in ladders(crops):
        rungs.append(rung)
        values.append(float(score([image])[0]))
    return {kind: _ranking(rungs, np.array(values), kind) for kind in KINDS}


def _ranking(rungs: Sequence[Rung], scores: NDArray[np.float64], kind: str) -> Ranking:
    chosen = [i for i, rung in enumerate(rungs) if rung.kind in (kind, PRISTINE)]
    by_source: dict[int, list[int]] = defaultdict(list)
    for i in chosen:
        by_source[rungs[i].source].append(i)
    strength = np.array([float(rung.strength) for rung in rungs])
    alone = [spearman(scores[i], strength[i]) for i in by_source.values()]
    return Ranking(spearman(scores[chosen], strength[chosen]), float(np.mean(alone)), max(alone))

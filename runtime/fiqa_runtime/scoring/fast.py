"""Whether ``--cpu-precision fast`` keeps the ranking here: degraded faces, scored in float32 and in less, side by side.

What a processor makes of bfloat16 or float16 is known on that processor alone, so this is measured on each machine, as
an artefact of reduced precision is where it is made.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.spec import output_of
from fiqa_runtime.images.ladder import ladders
from fiqa_runtime.images.sample_pictures import FRAMINGS, default_pictures, resized
from fiqa_runtime.scoring.agreement import agree, pearson
from fiqa_runtime.scoring.scorer import Scorer

SRCC = 0.999
"""Smallest Spearman correlation of the scores."""
FLIPS = 0.01
"""Largest share of faces whose decision changes at the threshold that rejects 10 %."""
CORRELATION = 0.99
"""Smallest Pearson correlation of another output's values, for each image."""
SECONDS = 20.0
"""After this time no further pictures are begun; the first one and its 35 degraded copies are always scored."""


@dataclass(frozen=True)
class FastVerdict:
    """How far the scores of `fast` are from those of float32, in one backend of this machine."""

    images: int
    """Faces compared: a portrait in up to eight framings, each degraded in 35 ways."""
    srcc: float | None
    """Spearman correlation of the scores; None where the network gives none."""
    flips: float | None
    """Share of the faces whose decision changes where 10 % are rejected; None as above."""
    correlations: dict[str, float] = field(default_factory=dict)
    """By output other than the score: smallest Pearson correlation of an image's values."""

    @property
    def passed(self) -> bool:
        """Whether everything stays inside its budget; what is not a number does not."""
        ranked = self.srcc is None or self.srcc >= SRCC
        decided = self.flips is None or self.flips <= FLIPS
        return ranked and decided and all(value >= CORRELATION for value in self.correlations.values())

    def __str__(self) -> str:
        parts = [] if self.srcc is None else [f"SRCC {self.srcc:.5f} (at least {SRCC:g})"]
        parts += [] if self.flips is None else [f"flips {100 * self.flips:.2f} % (at most {100 * FLIPS:g})"]
        parts += [f"{name} r {value:.4f} (at least {CORRELATION:g})" for name, value in self.correlations.items()]
        outcome = "kept" if self.passed else "NOT kept"
        return f"the ranking of float32 is {outcome} on {self.images} faces: {', '.join(parts)}"


def judge_fast(exact: Scorer, fast: Scorer) -> FastVerdict:
    """Score degraded faces with both scorers of one artefact and compare; takes :data:`SECONDS` or one picture's time.

    Raises what the scorers raise.
    """
    canary = exact.card.canaries[0]
    height, width = exact.card.input.height or canary.height, exact.card.input.width or canary.width
    start = time.perf_counter()
    parts: list[tuple[dict[str, NDArray[np.float32]], dict[str, NDArray[np.float32]]]] = []
    for picture in default_pictures(len(FRAMINGS)):
        images = [image for _, image in ladders([resized(picture, height, width)])]
        parts.append((exact.outputs(images), fast.outputs(images)))
        if time.perf_counter() - start > SECONDS:
            break
    score = output_of("score", exact.card.outputs)
    pairs = {name: [(a[name], b[name]) for a, b in parts] for name in parts[0][0]}
    images_scored = sum(len(a) for a, _ in next(iter(pairs.values())))
    correlations = {name: _least_correlation(found) for name, found in pairs.items() if name != score}
    if score is None:
        return FastVerdict(images_scored, None, None, correlations)
    a, b = (np.concatenate([pair[side].reshape(-1) for pair in pairs[score]]) for side in (0, 1))
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return FastVerdict(images_scored, math.nan, math.nan, correlations)
    found = agree(a, b)
    return FastVerdict(images_scored, found.srcc, found.flips[0.1], correlations)


def _least_correlation(pairs: list[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> float:
    """Of any image's values; not a number where one image's are constant or not finite."""
    values = [
        pearson(x.reshape(-1).astype(np.float64), y.reshape(-1).astype(np.float64))
        for a, b in pairs
        for x, y in zip(a, b, strict=True)
    ]
    return float(np.min(values))

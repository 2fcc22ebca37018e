"""The map from scores of a float32 network to scores of its artefact in reduced precision, which carries thresholds
over.

Both score the same images, and scores of the same rank belong together. So the map is monotone, and a threshold that it
carries over rejects the same share of these images as before, to within one in 512.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.errors import InputError
from fiqa_runtime.system.schema import check_bounds
from fiqa_runtime.system.spread import evenly

KNOTS = 512
"""Most points of a map; where there are more images, evenly spaced ranks are kept."""


@dataclass(frozen=True)
class ScoreMap:
    """Scores of the same rank, ascending."""

    fp32: tuple[float, ...]
    """Scores of the float32 network."""
    artefact: tuple[float, ...]
    """Scores of the artefact."""

    def __post_init__(self) -> None:
        check_bounds("the number of scores in the map", len(self.fp32), 1, KNOTS)
        if len(self.fp32) != len(self.artefact) or list(self.fp32) != sorted(self.fp32):
            raise ValueError("the score map is not two ascending lists of one length")

    @classmethod
    def between(cls, fp32: NDArray[np.floating], artefact: NDArray[np.floating]) -> ScoreMap:
        """The map from two score lists (N,) of the same images in the same order, N >= 1."""
        positions = evenly(KNOTS, len(fp32))
        first, second = (np.sort(np.asarray(scores, np.float64))[positions] for scores in (fp32, artefact))
        return cls(tuple(first.tolist()), tuple(second.tolist()))

    def threshold(self, fp32: float) -> float:
        """The artefact's threshold for a float32 one: it lies at the same place between the neighbours of the same
        ranks.

        Beyond the scores of the images, the two scales are taken to be as far apart as at the last image. Raises
        InputError for a threshold that is not finite.
        """
        check_threshold(fp32)
        first, second = np.array(self.fp32), np.array(self.artefact)
        if fp32 <= first[0]:
            return float(fp32 + second[0] - first[0])
        if fp32 >= first[-1]:
            return float(fp32 + second[-1] - first[-1])
        above = int(np.searchsorted(first, fp32, side="left"))
        below = above - 1
        share = (fp32 - first[below]) / (first[above] - first[below])
        return float(second[below] + share * (second[above] - second[below]))


def check_threshold(value: float) -> None:
    """Raise InputError unless `value` is finite."""
    if not math.isfinite(value):
        raise InputError(f"the threshold is {value}, which accepts all or nothing; give a finite number")

"""Distributions of the qualities of several sets by one method: their figures, and each two of them against each other.

- Two-sample test: Kolmogorov and Smirnov's, which asks whether both could come from one distribution.
- `superiority`: the probability that an image of the first set is better than one of the second, ties by half
  (Mann and Whitney's U divided by the number of pairs).
- `overlap`: the area that two histograms with :data:`BINS` equal bins over both sets share, 0 to 1. Of few images it
  comes out too small.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.scoring.agreement import NumberOrNaN, json_number

from fiqa_evaluation.data_set.files import Floats

BINS = 40
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
FEW = 30
"""Below so many images of a set an overlap means little."""


@dataclass(frozen=True)
class Spread:
    """The qualities of one set."""

    images: int
    mean: float
    deviation: NumberOrNaN
    """Standard deviation, of a sample."""
    quantiles: Mapping[float, float]
    """By share of the images that lie below, 0.05 to 0.95."""


@dataclass(frozen=True)
class Contrast:
    """Two sets against each other."""

    first: str
    second: str
    distance: float
    """Largest difference of the two cumulative distributions, 0..1."""
    p: float
    """Probability of such a distance or a larger one where both sets come from one distribution."""
    superiority: float
    """Probability that an image of the first set is better than one of the second, ties by half."""
    overlap: float
    """Area that the histograms of both share, 0..1."""


@dataclass(frozen=True)
class Distributions:
    """The sets of one method."""

    method: str
    sets: Mapping[str, Spread]
    contrasts: tuple[Contrast, ...]
    edges: tuple[float, ...]
    """Edges of the forty bins over all sets (41)."""
    shares: Mapping[str, tuple[float, ...]]
    """By set: share of its images in each bin."""
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        found = asdict(self)
        for name, spread in self.sets.items():
            found["sets"][name]["quantiles"] = {f"{share:g}": value for share, value in spread.quantiles.items()}
            found["sets"][name]["deviation"] = json_number(spread.deviation)
        return found


def compare(method: str, sets: Mapping[str, Floats]) -> Distributions:
    """The qualities (N,) of each set by one method; raises InputError for an empty set, DependencyError without
    SciPy."""
    if not sets or not all(len(values) for values in sets.values()):
        raise InputError(f"a set has no score of {method}; score it with fiqa-eval score")
    whole = np.concatenate(list(sets.values()))
    edges = np.histogram_bin_edges(whole, BINS)
    shares = {name: np.histogram(values, edges)[0] / len(values) for name, values in sets.items()}
    few = [name for name, values in sets.items() if len(values) < FEW]
    notes = (f"{', '.join(few)}: fewer than {FEW} images, an overlap means little",) if few else ()
    return Distributions(
        method,
        {name: _spread(values) for name, values in sets.items()},
        tuple(_contrast(a, sets[a], b, sets[b]) for a, b in combinations(sets, 2)),
        tuple(edges.tolist()),
        {name: tuple(found.tolist()) for name, found in shares.items()},
        notes,
    )


def _spread(values: Floats) -> Spread:
    deviation = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    quantiles = dict(zip(SHARES, np.quantile(values, SHARES).tolist(), strict=True))
    return Spread(len(values), float(values.mean()), deviation, quantiles)


def _contrast(first: str, one: Floats, second: str, other: Floats) -> Contrast:
    try:
        from scipy.stats import ks_2samp, rankdata
    except ImportError as error:
        raise DependencyError("distributions need SciPy; pip install 'fiqa-edge[bench]'") from error
    test = ks_2samp(one, other)
    ranks = rankdata(np.concatenate([one, other]))[: len(one)].sum()
    superiority = (ranks - len(one) * (len(one) + 1) / 2) / (len(one) * len(other))
    edges = np.histogram_bin_edges(np.concatenate([one, other]), BINS)
    shares = (np.histogram(values, edges)[0] / len(values) for values in (one, other))
    overlap = float(np.minimum(*shares).sum())
    return Contrast(first, second, float(test.statistic), float(test.pvalue), float(superiority), overlap)

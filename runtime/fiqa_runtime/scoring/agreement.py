"""How far two score lists of the same images agree: differences, ranks, and decisions that would change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.errors import InputError

Scores = Sequence[float] | NDArray[np.floating]
SHARES = (0.05, 0.10, 0.20)
"""Rejection shares at which changed decisions are counted."""


@dataclass(frozen=True, repr=False)
class Agreement:
    """How far `other` is from `reference`. Correlations are NaN where they are undefined, see `undefined`."""

    n: int
    """Images."""
    max_abs: float
    """Largest absolute difference, in score units."""
    mean_abs: float
    """Mean absolute difference, in score units."""
    srcc: float
    """Spearman's rank correlation, ties at their average rank."""
    kendall: float | None
    """Kendall's tau-b; None where SciPy is not installed."""
    pearson: float
    """Pearson's linear correlation."""
    flips: Mapping[float, float]
    """By rejection share: fraction 0..1 of images that only one list accepts, see :func:`flips`."""
    score_range: float
    """Largest minus smallest reference score."""

    @property
    def undefined(self) -> bool:
        """Whether no correlation exists: one list is constant, or there is a single image."""
        return math.isnan(self.srcc)

    def __str__(self) -> str:
        ranks = "correlation undefined (constant scores)"
        if not self.undefined:
            tau = "no tau (SciPy is not installed)" if self.kendall is None else f"tau {self.kendall:.6f}"
            ranks = f"SRCC {self.srcc:.6f}, {tau}, r {self.pearson:.6f}"
        flipped = " / ".join(f"{100 * value:.2f}" for value in self.flips.values())
        shares = " / ".join(f"{100 * share:.0f}" for share in self.flips)
        return (
            f"{self.n} images, max |d| {self.max_abs:.3g}, mean |d| {self.mean_abs:.3g} "
            f"of a range of {self.score_range:.3g}, {ranks}, flips {flipped} % at {shares} % rejection"
        )

    def __repr__(self) -> str:
        return f"<Agreement {self}>"

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`: undefined numbers are None, shares of `flips` strings ("0.05")."""
        numbers = {key: json_number(value) for key, value in asdict(self).items() if key != "flips"}
        return {**numbers, "flips": {f"{share:g}": json_number(value) for share, value in self.flips.items()}}


def agree(reference: Scores, other: Scores) -> Agreement:
    """Compare two score lists of shape (N,), N >= 1, of the same images in the same order.

    Computed in float64. Raises InputError where the lists differ in length, are empty, or hold NaN or
    infinity.
    """
    a, b = score_lists(reference, other)
    difference = np.abs(a - b)
    return Agreement(
        n=a.size,
        max_abs=float(difference.max()),
        mean_abs=float(difference.mean()),
        srcc=spearman(a, b),
        kendall=_kendall(a, b),
        pearson=pearson(a, b),
        flips={share: flips(a, b, share) for share in SHARES},
        score_range=float(np.ptp(a)),
    )


def flips(reference: NDArray[np.float64], other: NDArray[np.float64], share: float) -> float:
    """Fraction of images whose decision changes when the network is exchanged and the threshold stays.

    A score at or above :func:`rejection_threshold` is accepted, hence tied images are accepted together. The
    same number is then applied to `other`. NaN for a single image, where no such threshold exists.
    """
    if reference.size < 2:
        return math.nan
    threshold = rejection_threshold(reference, share)
    return float(np.mean((reference >= threshold) != (other >= threshold)))


def rejection_threshold(reference: NDArray[np.float64], share: float) -> float:
    """The score below which `share` of two or more images fall (rounded down, at least one image).

    It lies half way between the best rejected and the worst accepted score, so that no score equals it.
    """
    rejected = max(1, int(share * reference.size))
    below, above = np.sort(reference)[rejected - 1 : rejected + 1]
    return float(below + (above - below) / 2)


def spearman(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Spearman's correlation of two finite lists (N,), ties at their average rank; NaN if one is constant."""
    return pearson(_average_ranks(_dense(a)), _average_ranks(_dense(b)))


def pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson's correlation of two finite lists (N,); NaN where one is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    a, b = a - a.mean(), b - b.mean()
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    return float(np.clip((a @ b) / math.sqrt((a @ a) * (b @ b)), -1, 1))


def bootstrap(reference: Scores, other: Scores, resamples: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Percentile 95 % interval (low, high) of Spearman's correlation over images drawn with replacement.

    Same seed, same interval. Draws that hold one distinct score only have no correlation and are left out;
    (NaN, NaN) where no draw is left. Raises InputError as :func:`agree` does.
    """
    a, b = (_dense(values) for values in score_lists(reference, other))
    generator = np.random.default_rng(seed)
    drawn = np.empty(resamples)
    for i in range(resamples):
        index = generator.integers(a.size, size=a.size)
        drawn[i] = pearson(_average_ranks(a[index]), _average_ranks(b[index]))
    return percentile_interval(drawn)


def percentile_interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """2.5th and 97.5th percentile of bootstrap values (R,), NaN left out; (NaN, NaN) where nothing is
    left."""
    defined = drawn[~np.isnan(drawn)]
    if not defined.size:
        return math.nan, math.nan
    low, high = np.percentile(defined, (2.5, 97.5))
    return float(low), float(high)


def score_lists(*lists: Scores) -> tuple[NDArray[np.float64], ...]:
    """`lists` as float64 arrays (N,); raises InputError unless all are finite, of one length and not
    empty."""
    try:
        arrays = tuple(np.asarray(values, np.float64) for values in lists)
    except (TypeError, ValueError) as error:
        raise InputError(f"scores must be numbers ({error}); leave out images that were not scored") from error
    if any(array.ndim != 1 for array in arrays) or len({array.size for array in arrays}) > 1:
        shapes = " and ".join(str(array.shape) for array in arrays)
        raise InputError(f"score lists of shape {shapes} cannot be compared; give one score per image to each")
    if not arrays[0].size:
        raise InputError("there are no scores to compare; give at least one image")
    for array in arrays:
        if not np.isfinite(array).all():
            where = int(np.flatnonzero(~np.isfinite(array))[0])
            raise InputError(f"score {where} (counted from 0) is {array[where]}; leave out images that were not scored")
    return arrays


def _dense(values: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.unique(values, return_inverse=True)[1]


def _average_ranks(dense: NDArray[np.intp]) -> NDArray[np.float64]:
    """Ranks, from 1, of values that are given as their position among the distinct values; so they are counted, not
    sorted."""
    counts = np.bincount(dense)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[dense], np.float64)


def _kendall(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    try:
        from scipy.stats import kendalltau
    except ImportError:
        return None
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(kendalltau(a, b).statistic)


NumberOrNaN = Annotated[float, "null in JSON"]
"""A number that is NaN where it is undefined; JSON documents have null there."""


def json_number(value: float | None) -> float | None:
    """`value` as JSON can hold it: None where it is not finite."""
    return None if value is None or not math.isfinite(value) else value

"""A histogram of magnitudes that takes in values step by step, and four methods that find the range of int8 from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

BINS = 4096
"""Bins from 0 to the limit. The limit is less than twice the largest magnitude: at least 16 bins per int8 step."""
LEVELS = 127
"""Largest int8 level, of weights and activations alike; zero is level 0, and activations may go down to -128."""
PERCENTILE = 99.99
"""Share of the magnitudes, in per cent, that `percentile` keeps."""
SMALLEST_LIMIT = 2.0**-100
"""Limits below this overflow float32 when magnitudes are divided by them."""
CANDIDATES = 100
"""Thresholds that `entropy` and `mse` try, evenly spaced over the upper 90 % of the range."""

Counts = NDArray[np.float64]


class Histogram:
    """Counts of |x| over all values added, in constant memory. The limit doubles when larger values come."""

    def __init__(self) -> None:
        self.counts: Counts = np.zeros(BINS)
        """Values per bin, (BINS,)."""
        self.limit = 0.0
        """Upper edge of the last bin; 0 before the first value that is not 0."""
        self.largest = 0.0
        """Largest magnitude seen."""

    def add(self, values: NDArray[np.float32]) -> None:
        """Count the finite float `values` of any shape."""
        magnitudes = np.abs(values, dtype=np.float32).ravel()
        largest = float(magnitudes.max(initial=0.0))
        self._reach(largest)
        if self.limit:
            positions = (magnitudes * np.float32(BINS / self.limit)).astype(np.int32)
            self.counts += np.bincount(np.minimum(positions, BINS - 1, out=positions), minlength=BINS)
        else:
            self.counts[0] += magnitudes.size

    def _reach(self, largest: float) -> None:
        self.largest = max(self.largest, largest)
        if not self.limit and largest:
            self.limit = max(SMALLEST_LIMIT, float(2.0 ** np.ceil(np.log2(largest))))
        while self.limit < largest:
            self.counts[: BINS // 2] = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts[BINS // 2 :] = 0
            self.limit *= 2

    @property
    def centres(self) -> NDArray[np.float64]:
        """Middle of each bin, (BINS,)."""
        return np.asarray((np.arange(BINS) + 0.5) * (self.limit / BINS), np.float64)


def minmax(histogram: Histogram) -> float:
    """The largest magnitude: nothing is cut off."""
    return histogram.largest


def percentile(histogram: Histogram) -> float:
    """The magnitude that PERCENTILE % of the values do not exceed."""
    cumulated = np.cumsum(histogram.counts)
    reached = int(np.searchsorted(cumulated, cumulated[-1] * PERCENTILE / 100))
    return min(histogram.largest, (reached + 1) * histogram.limit / BINS)


def mse(histogram: Histogram) -> float:
    """The threshold with the smallest mean squared error of rounding and cutting off."""
    return _best(histogram, lambda end: _squared_error(histogram, end * histogram.limit / BINS))


def entropy(histogram: Histogram) -> float:
    """The threshold whose int8 histogram differs least from the true one (Kullback-Leibler divergence).

    As in NVIDIA's "8-bit Inference with TensorRT" (S. Migacz, 2017), values beyond the threshold are counted at the
    threshold in the true histogram. Zeros are left out, because int8 represents them exactly.
    """
    counts = histogram.counts.copy()
    counts[0] = counts[1]
    return _best(histogram, lambda end: _divergence(counts, end))


METHODS: dict[str, Callable[[Histogram], float]] = {
    "minmax": minmax,
    "percentile": percentile,
    "entropy": entropy,
    "mse": mse,
}
"""Every method by name: histogram -> largest magnitude that int8 represents, 0 where all values are 0."""


def _best(histogram: Histogram, loss: Callable[[int], float]) -> float:
    """The candidate threshold, an upper bin edge, with the smallest `loss(bins below it)`."""
    if not histogram.largest:
        return 0.0
    last = min(BINS, int(histogram.largest / histogram.limit * BINS) + 1)
    ends = np.unique(np.linspace(max(LEVELS, last // 10), last, CANDIDATES).round().astype(int))
    losses = [loss(int(end)) for end in ends]
    return float(min(histogram.largest, ends[int(np.argmin(losses))] * histogram.limit / BINS))


def _squared_error(histogram: Histogram, threshold: float) -> float:
    step = threshold / LEVELS
    rounded = np.minimum(np.rint(histogram.centres / step), LEVELS) * step
    return float(histogram.counts @ (rounded - histogram.centres) ** 2)


def _divergence(counts: Counts, end: int) -> float:
    true = counts[:end].copy()
    occupied = true > 0
    starts = np.unique(np.linspace(0, end, LEVELS, endpoint=False).astype(int))
    sizes = np.diff(np.append(starts, end))
    level_counts = np.add.reduceat(true, starts)
    level_bins = np.add.reduceat(occupied.astype(float), starts)
    shared = np.repeat(level_counts / np.maximum(level_bins, 1), sizes) * occupied
    true[-1] += counts[end:].sum()
    both = (true > 0) & (shared > 0)
    if not both[-1] and true[-1] > 0:
        return float("inf")
    p, q = true[both] / true.sum(), shared[both] / shared.sum()
    return float(p @ np.log(p / q))

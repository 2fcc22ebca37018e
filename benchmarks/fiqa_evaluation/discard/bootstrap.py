"""How sure a curve is: persons are drawn with replacement, and the curve is computed anew from their pairs.

Persons are drawn and not pairs, since all pairs of a person share whatever makes that person hard. A person who is
drawn m times gives m times each of the own genuine pairs; an impostor pair of two persons counts the product of their
two numbers (the subsets bootstrap of Bolle, Ratha and Pankanti, with identities as subsets).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.scoring.agreement import NumberOrNaN, json_number, percentile_interval
from fiqa_runtime.system.progress import Report, silent
from numpy.typing import NDArray

from fiqa_evaluation.data_set.files import Floats, Ints
from fiqa_evaluation.discard.comparisons import Comparisons
from fiqa_evaluation.discard.curves import FRACTIONS, LIMITS, cr_fiqa_curves, pair_quality
from fiqa_evaluation.discard.start import FMRS, STARTS, Start, just_below

WHOLE = 100_000
"""Up to so many impostor pairs all of them are weighed in each draw; of more only the nearest are, see `_Impostors`."""
FEW_PERSONS = 20
"""Below so many persons an interval is hardly one."""
Qualities = Mapping[str, Floats]
"""By method: quality of each image (N,), higher is better."""


@dataclass(frozen=True, eq=False)
class Draws:
    """What each of R draws gave for one method at one starting error; NaN where a draw has no pairs of a kind."""

    fnmr: NDArray[np.float64]
    """(R, 20): at the fractions of :data:`FRACTIONS`."""
    pauc: NDArray[np.float64]
    """(R, limits)."""

    def band(self) -> tuple[list[float | None], list[float | None]]:
        """Lower and upper end of the 95 % interval of the FNMR at each fraction, for JSON."""
        ends = [percentile_interval(column) for column in self.fnmr.T]
        return [json_number(low) for low, _ in ends], [json_number(high) for _, high in ends]


@dataclass(frozen=True)
class Difference:
    """The partial area of one method minus that of another over the same draws; negative means that the first is
    better."""

    first: str
    second: str
    start: str
    """Starting error, in words."""
    limit: float
    value: NumberOrNaN
    low: NumberOrNaN
    high: NumberOrNaN
    """95 % interval."""

    @property
    def verdict(self) -> str:
        """In words, for people."""
        if math.isnan(self.low) or self.low <= 0 <= self.high:
            return f"{self.first} and {self.second} cannot be told apart"
        better, worse = (self.first, self.second) if self.value < 0 else (self.second, self.first)
        return f"{better} is better than {worse}"

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`, NaN as None."""
        numbers = {key: json_number(getattr(self, key)) for key in ("value", "low", "high")}
        parts = {"first": self.first, "second": self.second, "start": self.start, "limit": self.limit}
        return {**parts, **numbers, "verdict": self.verdict}


def edc_draws(
    comparisons: Comparisons,
    identity: Ints,
    qualities: Qualities,
    starts: Sequence[Start] = STARTS,
    limits: Sequence[float] = LIMITS,
    resamples: int = 1000,
    seed: int = 0,
    report: Report = silent,
) -> dict[str, tuple[Draws, ...]]:
    """Draws of :func:`fiqa_evaluation.discard.curves.edc_curves` by method, one per start; the same persons are drawn
    for every method.

    `identity` (N,) is the person on each image, numbered from 0. The same seed gives the same result. Cost per draw:
    O(genuine pairs x methods x starts), and at most the nearest impostors. Raises InputError for fewer than two
    persons.
    """
    persons = _persons(identity)
    genuine = comparisons.genuine
    pairs = identity[comparisons.pairs]
    impostors = _Impostors(comparisons, pairs, max(start.rate for start in starts))
    by_distance = np.argsort(comparisons.distance[genuine], kind="stable")
    owners, distance = pairs[genuine], comparisons.distance[genuine]
    ranked = {
        name: _Ranked(pair_quality(comparisons, quality)[genuine], distance) for name, quality in qualities.items()
    }
    drawn = {name: [_empty(resamples, limits) for _ in starts] for name in qualities}
    generator = np.random.default_rng(seed)
    for draw in range(resamples):
        if not draw % 16:
            report("draw persons", draw, resamples)
        times = np.bincount(generator.integers(persons, size=persons), minlength=persons).astype(np.float64)
        weight = weights(times, owners)
        thresholds = [
            impostors.threshold(start.rate, times)
            if start.by == "fmr"
            else _weighted_quantile(distance[by_distance], weight[by_distance], start.rate)
            for start in starts
        ]
        for name, method in ranked.items():
            method.draw(weight, thresholds, limits, [(d.fnmr[draw], d.pauc[draw]) for d in drawn[name]])
    report("draw persons", resamples, resamples)
    return {name: tuple(found) for name, found in drawn.items()}


def cr_fiqa_draws(
    comparisons: Comparisons,
    identity: Ints,
    qualities: Qualities,
    limits: Sequence[float] = LIMITS,
    resamples: int = 1000,
    seed: int = 0,
    lower_is_better: Mapping[str, bool] | None = None,
    report: Report = silent,
) -> dict[str, tuple[Draws, ...]]:
    """The same for :func:`fiqa_evaluation.discard.curves.cr_fiqa_curves`: each draw is written out as a list of pairs.

    `qualities` are as in the files; `lower_is_better` says of which methods lower scores are good.
    """
    persons = _persons(identity)
    pairs = identity[comparisons.pairs]
    lower = lower_is_better or {}
    drawn = {name: [_empty(resamples, limits) for _ in FMRS] for name in qualities}
    generator = np.random.default_rng(seed)
    for draw in range(resamples):
        if not draw % 16:
            report("draw persons", draw, resamples)
        times = np.bincount(generator.integers(persons, size=persons), minlength=persons).astype(np.float64)
        kept = np.repeat(np.arange(len(pairs)), weights(times, pairs).astype(np.int64))
        flags = comparisons.genuine[kept]
        if not flags.any() or flags.all():
            continue
        part = Comparisons(comparisons.pairs[kept], flags, comparisons.distance[kept], comparisons.of_templates)
        for name, quality in qualities.items():
            for found, curve in zip(
                drawn[name], cr_fiqa_curves(part, quality, lower.get(name, False), limits), strict=True
            ):
                found.fnmr[draw], found.pauc[draw] = curve.fnmr, list(curve.pauc.values())
    report("draw persons", resamples, resamples)
    return {name: tuple(found) for name, found in drawn.items()}


def differences(
    values: Mapping[str, Sequence[Mapping[float, float]]],
    draws: Mapping[str, Sequence[Draws]],
    starts: Sequence[str],
) -> list[Difference]:
    """Every two methods at every start and limit. `values` are the partial areas of all pairs, by method and start."""
    found = []
    for first, second in combinations(draws, 2):
        for place, start in enumerate(starts):
            for column, limit in enumerate(values[first][place]):
                drawn = draws[first][place].pauc[:, column] - draws[second][place].pauc[:, column]
                value = values[first][place][limit] - values[second][place][limit]
                found.append(Difference(first, second, start, limit, value, *percentile_interval(drawn)))
    return found


def weights(times: Floats, pairs: Ints) -> Floats:
    """How often each pair (P, 2) of persons counts where each person was drawn so many `times`."""
    left, right = pairs.T
    return np.asarray(np.where(left == right, times[left], times[left] * times[right]))


class _Ranked:
    """The genuine pairs of one method in order of quality."""

    def __init__(self, quality: Floats, distance: Floats) -> None:
        self.order = np.argsort(quality, kind="stable")
        ranked = quality[self.order]
        self.first = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
        self.distance = distance[self.order]

    def draw(
        self,
        weight: Floats,
        thresholds: Sequence[float],
        limits: Sequence[float],
        places: Sequence[tuple[Floats, Floats]],
    ) -> None:
        """Write FNMR and partial areas of one draw, for every threshold, to `places`."""
        weight = weight[self.order]
        total = weight.sum()
        if not total:
            return
        before = np.append(0, np.cumsum(weight))[self.first]
        left, discard = total - before, before / total
        widths = [np.clip(np.minimum(np.append(discard[1:], 1.0), limit) - discard, 0, None) for limit in limits]
        at = np.searchsorted(discard, FRACTIONS, side="right") - 1
        for threshold, (fnmr, pauc) in zip(thresholds, places, strict=True):
            if math.isnan(threshold):
                continue
            errors = np.cumsum((weight * (self.distance > threshold))[::-1])[::-1][self.first]
            rates = np.divide(errors, left, out=np.zeros_like(errors), where=left > 0)
            fnmr[:] = rates[at]
            pauc[:] = [rates @ width for width in widths]


class _Impostors:
    """Impostor pairs in order of distance; of many only the nearest are kept in order, since no threshold lies beyond.

    The weight of all is then found from the number of pairs of each two persons.
    """

    def __init__(self, comparisons: Comparisons, pairs: Ints, largest_rate: float) -> None:
        order = comparisons.order[~comparisons.genuine[comparisons.order]]
        self._count = len(order)
        self._all = (comparisons.distance, pairs, order)
        kept = self._count
        if self._count > WHOLE:
            kept = min(self._count, int(3 * largest_rate * self._count) + WHOLE // 10)
            key, counts = np.unique(pairs[order] @ np.array([pairs.max() + 1, 1]), return_counts=True)
            self._met = np.stack(np.divmod(key, pairs.max() + 1), axis=1)
            self._counts = counts.astype(np.float64)
        self._nearest, self._pairs = comparisons.distance[order[:kept]], pairs[order[:kept]]

    def threshold(self, rate: float, times: Floats) -> float:
        """The weighted threshold of :class:`Start`; NaN where no impostor pair was drawn."""
        weight = weights(times, self._pairs)
        whole = len(weight) == self._count
        total = weight.sum() if whole else self._counts @ weights(times, self._met)
        if not total:
            return math.nan
        reached = np.cumsum(weight) / total
        place = int(np.searchsorted(reached, rate, side="right"))
        if place < len(weight):
            return just_below(self._nearest[place])
        distance, pairs, order = self._all
        reached = np.cumsum(weights(times, pairs[order])) / total
        return just_below(distance[order[min(int(np.searchsorted(reached, rate, side="right")), len(order) - 1)]])


def _weighted_quantile(distance: Floats, weight: Floats, rate: float) -> float:
    """The smallest distance (ascending) beyond which at most `rate` of the weight lies; NaN without weight."""
    total = weight.sum()
    return float(distance[int(np.argmax((total - np.cumsum(weight)) / total <= rate))]) if total else math.nan


def _empty(resamples: int, limits: Sequence[float]) -> Draws:
    return Draws(np.full((resamples, len(FRACTIONS)), math.nan), np.full((resamples, len(limits)), math.nan))


def _persons(identity: Ints) -> int:
    persons = int(identity.max()) + 1 if len(identity) else 0
    if persons < 2:
        raise InputError("all pairs are of one person, so none can be drawn; intervals need two persons at least")
    return persons

"""The other two views of ISO/IEC 29794-1, clause 11: false matches against discard, and DET curves against discard.

Both discard pairs as the curve of false non-matches does (:mod:`fiqa_evaluation.discard.curves`): worst first, those of
equal quality together, a pair as good as its worse image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from fiqa_runtime.scoring.agreement import json_number

from fiqa_evaluation.data_set.files import Floats, Ints
from fiqa_evaluation.discard.comparisons import Comparisons
from fiqa_evaluation.discard.curves import FRACTIONS, LIMITS, pair_quality, step_area
from fiqa_evaluation.discard.start import STARTS, Start, just_below

DET_FRACTIONS = (0.0, 0.1, 0.2, 0.3)
"""Discard fractions at which a DET curve is drawn."""
DET_RATES = 10.0 ** np.arange(-5, 0.01, 0.25)
"""False match rates of a DET curve's points, 1e-5 to 1."""


@dataclass(frozen=True, eq=False)
class FalseMatchCurve:
    """The false match rate at a threshold that was fixed before anything was discarded, at K points."""

    start: Start
    """What fixed the threshold."""
    threshold: float
    """Distance up to which a pair matches."""
    discard: Floats
    """(K,): discarded fraction of the impostor pairs 0..1, ascending from 0."""
    fmr: Floats
    """(K,): share of the impostor pairs left that match, 0..1."""
    auc: float
    """Area under the whole curve; low is good."""
    pauc: Mapping[float, float]
    """Area from 0 to each limit, not normalised."""

    def at(self, fractions: Floats) -> Floats:
        """FMR at discard fractions 0..1, from the step function."""
        return self.fmr[np.searchsorted(self.discard, fractions, side="right") - 1]

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`; the curve at 20 fractions."""
        return {
            "start": {"by": self.start.by, "rate": self.start.rate},
            "discard": FRACTIONS.tolist(),
            "fmr": self.at(FRACTIONS).tolist(),
            "auc": self.auc,
            "pauc": {f"{limit:g}": area for limit, area in self.pauc.items()},
        }


@dataclass(frozen=True, eq=False)
class Det:
    """False non-matches against false matches over the pairs that are left after a share was discarded."""

    discard: float
    """Discarded share of all pairs that was asked for."""
    discarded: float
    """Share that was: pairs of equal quality stay together, so it may be less."""
    fmr: Floats
    """(K,): false match rates, :data:`DET_RATES`."""
    fnmr: Floats
    """(K,): share of genuine pairs left that do not match where at most that many impostors do; NaN where no pair of
    one kind is left."""
    genuine: int
    impostor: int

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`, NaN as None."""
        return {
            "discard": self.discard,
            "discarded": self.discarded,
            "fmr": self.fmr.tolist(),
            "fnmr": [json_number(value) for value in self.fnmr.tolist()],
            "genuine": self.genuine,
            "impostor": self.impostor,
        }


def false_match_curves(
    comparisons: Comparisons,
    quality: Floats,
    lower_is_better: bool = False,
    starts: Sequence[Start] = STARTS,
    limits: Sequence[float] = LIMITS,
) -> tuple[FalseMatchCurve, ...]:
    """How false matches change as the impostor pairs of lowest quality are discarded, for each of `starts`."""
    impostor = ~comparisons.genuine
    worse = pair_quality(comparisons, -quality if lower_is_better else quality)[impostor]
    order = np.argsort(worse, kind="stable")
    worse, distance = worse[order], comparisons.distance[impostor][order]
    first = np.flatnonzero(np.append(True, worse[1:] != worse[:-1]))
    discard = first / len(worse)
    curves = []
    for start in starts:
        threshold = start.threshold(comparisons.genuines, comparisons.impostors)
        errors = np.cumsum((distance <= threshold)[::-1])[::-1]
        fmr = errors[first] / (len(worse) - first)
        areas = {limit: step_area(discard, fmr, limit) for limit in limits}
        curves.append(FalseMatchCurve(start, threshold, discard, fmr, step_area(discard, fmr, 1.0), areas))
    return tuple(curves)


def det_curves(
    comparisons: Comparisons,
    quality: Floats,
    lower_is_better: bool = False,
    fractions: Sequence[float] = DET_FRACTIONS,
) -> tuple[Det, ...]:
    """A DET curve of the pairs that are left after each of `fractions` of all pairs was discarded, genuine and impostor
    alike. Its thresholds are those of the pairs that are left."""
    worse = pair_quality(comparisons, -quality if lower_is_better else quality)
    ranked = np.sort(worse)
    place = worse[comparisons.order]
    distance, genuine = comparisons.distance[comparisons.order], comparisons.genuine[comparisons.order]
    found = []
    for fraction in fractions:
        limit = ranked[min(int(fraction * len(ranked)), len(ranked) - 1)]
        kept = place >= limit
        left = (distance[kept & genuine], distance[kept & ~genuine])
        discarded = float(np.searchsorted(ranked, limit) / len(ranked))
        found.append(Det(fraction, discarded, DET_RATES, _det(*left), len(left[0]), len(left[1])))
    return tuple(found)


def _det(genuine: Floats, impostors: Floats) -> Floats:
    """FNMR at each of DET_RATES; both lists of distances are ascending."""
    if not len(genuine) or not len(impostors):
        return np.full(len(DET_RATES), np.nan)
    rates = np.arange(1, len(impostors) + 1) / len(impostors)
    allowed: Ints = np.searchsorted(rates, DET_RATES, side="right")
    thresholds = [just_below(impostors[place]) if place < len(impostors) else np.inf for place in allowed]
    return 1 - np.searchsorted(genuine, thresholds, side="right") / len(genuine)

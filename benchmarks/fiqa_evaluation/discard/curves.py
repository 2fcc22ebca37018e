"""Error versus discard: how well quality scores sort out the pairs on which face recognition fails.

There are two protocols, which must not be mixed in one table:

- ``edc`` (:func:`edc_curves`, the default): the error-versus-discard characteristic in the spirit of ISO/IEC 29794-1.
  It has one threshold, fixed on all pairs; pairs of equal quality are discarded together; the curve is a step function.
- ``cr-fiqa`` (:func:`cr_fiqa_curves`): what the scripts of CR-FIQA (github.com/fdbtrs/CR-FIQA) compute, for comparison
  with published tables. It takes a new threshold at each of 20 discard fractions; areas are trapezoidal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.scoring.agreement import json_number
from numpy.typing import ArrayLike, NDArray

from fiqa_evaluation.data_set.files import Floats, Ints
from fiqa_evaluation.discard.comparisons import Comparisons
from fiqa_evaluation.discard.start import FMRS, STARTS, Start

LIMITS = (0.2, 0.3)
"""Discard fractions up to which partial areas are reported."""
STEP = 0.05
FRACTIONS = np.array([STEP * k for k in range(20)])
"""Discard fractions of the ``cr-fiqa`` protocol, 0 to 0.95."""
FEW = 10


@dataclass(frozen=True, eq=False, repr=False)
class DiscardCurve:
    """The false non-match rate at one false match rate, over the discard fraction, at K points."""

    protocol: Literal["edc", "cr-fiqa"]
    """The protocol by which it was computed, see this module."""
    fmr: float
    """False match rate aimed at, or that of all impostor pairs where the threshold was fixed by the FNMR."""
    discard: Floats
    """(K,): discarded fraction 0..1, ascending from 0: of genuine (``edc``) or all pairs (``cr-fiqa``)."""
    fnmr: Floats
    """(K,): error rate of the genuine pairs left, 0..1; NaN where no genuine or no impostor pair is left."""
    threshold: Floats
    """(K,): distance up to which (``edc``) or below which (``cr-fiqa``) a genuine pair matches."""
    genuine: Ints
    """(K,): number of genuine pairs left."""
    impostor: Ints
    """(K,): number of impostor pairs from which the threshold was taken."""
    auc: float
    """Area under the whole curve (``edc``: to 1; ``cr-fiqa``: to 0.95, not divided by it); low is good."""
    pauc: Mapping[float, float]
    """Area from 0 to each limit of :data:`LIMITS`, not normalised; low is good."""
    notes: tuple[str, ...] = ()
    """What a reader must know to judge the numbers, such as too few impostor pairs."""
    start: Start | None = None
    """What fixed the threshold (``edc``)."""

    def relative(self, limit: float) -> float:
        """The partial area up to `limit` divided by that of a score that sorts nothing out, the starting FNMR times the
        limit: 1 means no better than discarding at random. NaN where there is no error at the start."""
        return self.pauc[limit] / (float(self.fnmr[0]) * limit) if self.fnmr[0] > 0 else math.nan

    def above_best(self, limit: float) -> float:
        """The partial area up to `limit` less that of a perfect score, which discards nothing but errors."""
        start = float(self.fnmr[0])
        return self.pauc[limit] - (start**2 - max(start - limit, 0) ** 2) / 2

    def __repr__(self) -> str:
        partial = ", ".join(f"pAUC {limit:g} {area:.6f}" for limit, area in self.pauc.items())
        return f"<DiscardCurve {self.protocol} FMR {self.fmr:g}: AUC {self.auc:.6f}, {partial}>"

    def at(self, fractions: ArrayLike) -> Floats:
        """FNMR at discard fractions 0..1: from the step function (``edc``), or interpolated (``cr-fiqa``; NaN above
        0.95).

        Raises InputError for a fraction outside 0..1.
        """
        wanted = np.asarray(fractions, np.float64)
        if not ((wanted >= 0) & (wanted <= 1)).all():
            raise InputError("a share of pairs to discard is outside 0 to 1; ask for shares from 0 to 1")
        if self.protocol == "edc":
            return self.fnmr[np.searchsorted(self.discard, wanted, side="right") - 1]
        return np.asarray(np.interp(wanted, self.discard, self.fnmr, right=math.nan))

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`, NaN as None; the curve at 20 fractions, whatever its own points."""
        return {
            "protocol": self.protocol,
            "fmr": self.fmr,
            "discard": FRACTIONS.tolist(),
            "fnmr": [json_number(value) for value in self.at(FRACTIONS).tolist()],
            "auc": json_number(self.auc),
            "pauc": {f"{limit:g}": json_number(area) for limit, area in self.pauc.items()},
            "pauc_relative": {f"{limit:g}": json_number(self.relative(limit)) for limit in self.pauc},
            "pauc_above_best": {f"{limit:g}": json_number(self.above_best(limit)) for limit in self.pauc},
            "start": None if self.start is None else {"by": self.start.by, "rate": self.start.rate},
            "genuine": int(self.genuine[0]),
            "impostor": int(self.impostor[0]),
            "notes": list(self.notes),
        }


def edc_curves(
    comparisons: Comparisons,
    quality: Floats,
    lower_is_better: bool = False,
    starts: Sequence[Start] = STARTS,
    limits: Sequence[float] = LIMITS,
) -> tuple[DiscardCurve, ...]:
    """Error versus discard at a fixed threshold: one curve for each of `starts`. `quality` (N,) has one score per
    image.

    - Threshold: fixed on all pairs, as :class:`Start` says. By default the most permissive distance at which at most
      FMR of *all* impostor pairs match, for :data:`FMRS`. A genuine pair is an error where its distance is larger;
      equal is a match.
    - A pair is as good as its worse image. Genuine pairs are discarded worst first, those of equal quality together, so
      that there is one point per distinct quality. The discard fraction is that of genuine pairs.
    - Between points the error stays constant. Areas are sums of these steps, of which the last ends at 1; partial areas
      end at each of `limits`.

    `lower_is_better` reverses the scores. Cost: one sort of the P distances per `comparisons` and one of the genuine
    qualities, O(P log P); about 100 bytes per pair. Raises InputError where `quality` is not finite or does not fit.
    """
    worse = pair_quality(comparisons, -quality if lower_is_better else quality)[comparisons.genuine]
    order = np.argsort(worse, kind="stable")
    worse, distance = worse[order], comparisons.distance[comparisons.genuine][order]
    first = np.flatnonzero(np.append(True, worse[1:] != worse[:-1]))
    left = len(worse) - first
    discard = first / len(worse)
    impostors = comparisons.impostors
    notes = ("every genuine pair has the same quality, so nothing is sorted out",) if len(first) == 1 else ()
    curves = []
    for start in starts:
        threshold = start.threshold(comparisons.genuines, impostors)
        errors = np.cumsum((distance > threshold)[::-1])[::-1]
        fnmr = errors[first] / left
        reached = float(np.searchsorted(impostors, threshold, side="right") / len(impostors))
        fmr = start.rate if start.by == "fmr" else reached
        curves.append(
            DiscardCurve(
                protocol="edc",
                fmr=fmr,
                discard=discard,
                fnmr=fnmr,
                threshold=np.broadcast_to(threshold, first.shape),
                genuine=left,
                impostor=np.broadcast_to(len(impostors), first.shape),
                auc=step_area(discard, fnmr, 1.0),
                pauc={limit: step_area(discard, fnmr, limit) for limit in limits},
                notes=notes + _too_few(np.array([0.0]), np.array([len(impostors)]), fmr),
                start=start,
            )
        )
    return tuple(curves)


def cr_fiqa_curves(
    comparisons: Comparisons, quality: Floats, lower_is_better: bool = False, limits: Sequence[float] = LIMITS
) -> tuple[DiscardCurve, ...]:
    """The protocol of CR-FIQA's scripts: one curve for each FMR of :data:`FMRS`. `quality` (N,) has one score per
    image.

    - A pair's quality is the smaller number of its two images, also where lower is better; of two templates it is then
      the larger one. Pairs are discarded in a *stable* ascending order of it. For `lower_is_better` (in the scripts:
      the method named PFE) the whole order is reversed.
    - At each fraction u of :data:`FRACTIONS` the first trunc(u * P) of all P pairs are discarded, genuine and impostor
      alike. A new threshold is taken from the rest: the observed distance whose FMR (distance at or below) is nearest
      to the aim, and the largest of several such. A genuine pair matches *below* the threshold; at the threshold it is
      an error.
    - Areas are sums of trapezoids between the points; a partial area uses the points up to its limit.

    Where no genuine or no impostor pair is left the rates are NaN, and so are the areas that need them; a
    note says so.

    Cost: distances are sorted once per `comparisons`, qualities once per call, both O(P log P); then 20
    linear passes over the P pairs in order of distance, without another sort. About 100 bytes per pair.
    Raises InputError where `quality` is not finite or does not fit.
    """
    pairs = len(comparisons.genuine)
    worse = published_quality(comparisons, quality, lower_is_better)
    notes = (
        ("every pair has the same quality, so the curve follows the order of the list",) if not np.ptp(worse) else ()
    )
    discarded = np.argsort(worse, kind="stable")
    place = np.empty(pairs, np.int64)
    place[discarded[::-1] if lower_is_better else discarded] = np.arange(pairs)
    place = place[comparisons.order]
    genuine = comparisons.genuine[comparisons.order]
    distance = comparisons.distance[comparisons.order]
    shape = (len(FMRS), len(FRACTIONS))
    fnmr, threshold = np.full(shape, math.nan), np.full(shape, math.nan)
    left = np.zeros((2, len(FRACTIONS)), np.int64)
    for k, fraction in enumerate(FRACTIONS):
        kept = place >= int(fraction * pairs)
        flags = genuine[kept]
        left[:, k] = np.count_nonzero(flags), np.count_nonzero(~flags)
        if left[:, k].all():
            fnmr[:, k], threshold[:, k] = nearest_thresholds(distance[kept], flags)
    return tuple(_cr_fiqa_curve(fmr, fnmr[i], threshold[i], left, notes, limits) for i, fmr in enumerate(FMRS))


def nearest_thresholds(distance: Floats, genuine: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """FNMR (3,) and threshold (3,) at :data:`FMRS`, from pairs of both kinds in ascending order of distance."""
    last = np.append(distance[1:] != distance[:-1], True)
    matches, false_matches = np.cumsum(genuine)[last], np.cumsum(~genuine)[last]
    below = np.append(0, matches[:-1])
    fmr = false_matches / false_matches[-1]
    nearest = [fmr.size - 1 - int(np.argmin(np.abs(fmr - aim)[::-1])) for aim in FMRS]
    return 1 - below[nearest] / matches[-1], distance[last][nearest]


def _cr_fiqa_curve(
    fmr: float, fnmr: Floats, threshold: Floats, left: Ints, notes: tuple[str, ...], limits: Sequence[float]
) -> DiscardCurve:
    notes += _too_few(FRACTIONS, left[1], fmr)
    if np.isnan(fnmr).any():
        start = FRACTIONS[np.isnan(fnmr)][0]
        notes += (f"no genuine or no impostor pair is left from a discard of {start:.2f} on: not available there",)
    return DiscardCurve(
        protocol="cr-fiqa",
        fmr=fmr,
        discard=FRACTIONS,
        fnmr=fnmr,
        threshold=threshold,
        genuine=left[0],
        impostor=left[1],
        auc=_trapezoid(fnmr),
        pauc={limit: _trapezoid(fnmr[: int(limit / STEP + 1e-9) + 1]) for limit in limits},
        notes=notes,
    )


def published_quality(comparisons: Comparisons, quality: Floats, lower_is_better: bool) -> Floats:
    """The quality of each pair (P,) as CR-FIQA's scripts take it: that for images takes the smaller number also where
    lower is better, that for templates takes the larger one there."""
    if comparisons.of_templates and lower_is_better:
        return -pair_quality(comparisons, -quality)
    return pair_quality(comparisons, quality)


def pair_quality(comparisons: Comparisons, quality: Floats) -> Floats:
    """The smaller quality of each pair's two images (P,), float64."""
    if quality.ndim != 1 or int(comparisons.pairs.max()) >= len(quality):
        raise InputError(f"{len(quality)} quality scores do not cover the images of the pairs; give one per image")
    if not np.isfinite(quality).all():
        where = int(np.flatnonzero(~np.isfinite(quality))[0])
        raise InputError(
            f"the quality of image {where} (counted from 0) is not a number; score it again or drop its pairs"
        )
    left, right = quality[comparisons.pairs.T].astype(np.float64)
    return np.asarray(np.minimum(left, right))


def step_area(discard: Floats, errors: Floats, limit: float) -> float:
    """Area under a step function that begins at 0, up to `limit`."""
    ends = np.minimum(np.append(discard[1:], 1.0), limit)
    return float(errors @ np.clip(ends - discard, 0, None))


def _trapezoid(fnmr: Floats) -> float:
    return float(STEP * (fnmr.sum() - (fnmr[0] + fnmr[-1]) / 2))


def _too_few(fractions: Floats, impostors: Ints, fmr: float) -> tuple[str, ...]:
    few = fractions[impostors * fmr < FEW]
    if not few.size:
        return ()
    start = f" from a discard of {few[0]:.2f} on" if few[0] else ""
    return (f"fewer than ten pairs at this FMR{start}: its error rates are uncertain",)

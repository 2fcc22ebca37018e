"""Which mistake best explains that somebody else's scores differ from ours.

Every hypothesis of :mod:`fiqa_runtime.diagnosis.hypotheses` is tried on the same images; its residual is the root mean
square of the difference that it leaves. Beside it stands the residual after the best straight line from our scores to
theirs, which finds scores that are scaled or reversed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.diagnosis.hypotheses import Hypothesis
from fiqa_runtime.errors import InputError
from fiqa_runtime.scoring.agreement import Scores, score_lists

Outcome = Literal["agree", "fault", "scaled", "fault and scaled", "unexplained"]

FEWEST = 5
"""Fewest images: a straight line, or chance, explains everything about fewer."""
FEWEST_FOR_BOTH = 10
"""Fewest images for a mistake and a straight line together, which explain everything about fewer."""
NOISE = 1e-5
"""Share of the largest score by which two runtimes differ in float32."""
EXACT = 1e-3
"""Share of the spread below which a residual does not count as a difference."""
CLOSE = 0.01
"""Share of the spread below which scores agree unless a hypothesis explains even that."""
EXPLAINED = 0.1
"""Share of the spread that a hypothesis may leave unexplained and still be named..."""
BETTER = 4
"""...where the card's own way leaves at least so many times more."""
RIVALS = 2
"""A hypothesis that leaves at most so many times what the best one leaves cannot be told from it."""


@dataclass(frozen=True)
class Finding:
    """One hypothesis and what it leaves unexplained."""

    fault: str
    detail: str
    residual: float
    """Root mean square of reference minus score, in units of the reference."""
    scaled_residual: float | None
    """The same after reference = slope * score + offset; None where the scores are constant."""
    slope: float | None
    offset: float | None


@dataclass(frozen=True)
class Diagnosis:
    """What explains the difference best."""

    outcome: Outcome
    images: int
    spread: float
    """Standard deviation of the reference."""
    cause: str
    """The verdict in one sentence."""
    findings: tuple[Finding, ...]
    """Every hypothesis, the card's own first, then by residual."""

    def __str__(self) -> str:
        return self.cause

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)


def diagnose(reference: Scores, scores: Mapping[Hypothesis, Scores]) -> Diagnosis:
    """Compare the reference (N,) with the scores (N,) under each hypothesis, the card's own first.

    Raises InputError for fewer than five images and as :func:`fiqa_runtime.scoring.agreement.score_lists` does.
    """
    wanted, *lists = score_lists(reference, *scores.values())
    if wanted.size < FEWEST:
        raise InputError(f"{wanted.size} images are too few to tell mistakes apart; give at least {FEWEST}")
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(wanted.std())
    if not math.isfinite(spread):
        raise InputError("the reference scores spread further than numbers reach; leave out those that are not scores")
    own, *others = (_finding(hypothesis, wanted, given) for hypothesis, given in zip(scores, lists, strict=True))
    findings = (own, *sorted(others, key=lambda finding: finding.residual))
    outcome, cause = _verdict(findings, spread, float(np.abs(wanted).max()), wanted.size)
    return Diagnosis(outcome, wanted.size, spread, cause, findings)


def _finding(hypothesis: Hypothesis, wanted: NDArray[np.float64], given: NDArray[np.float64]) -> Finding:
    residual = _rms(wanted - given)
    if np.ptp(given) == 0:
        return Finding(hypothesis.fault, hypothesis.detail, residual, None, None, None)
    centred = given - given.mean()
    slope = float(centred @ (wanted - wanted.mean()) / (centred @ centred))
    offset = float(wanted.mean() - slope * given.mean())
    left = wanted - slope * given - offset
    return Finding(hypothesis.fault, hypothesis.detail, residual, _rms(left), slope, offset)


def _verdict(findings: tuple[Finding, ...], spread: float, largest: float, images: int) -> tuple[Outcome, str]:
    own, *others = findings
    noise = NOISE * largest
    exact, close, explained = (max(noise, share * spread) for share in (EXACT, CLOSE, EXPLAINED))
    if own.residual <= exact:
        return "agree", f"none: they agree ({_left(own.residual, spread)})"
    without = f"{own.residual:.2g} without it"
    most = min(explained, own.residual / BETTER)
    best = others[0] if others else own
    line = _line_fits(own, explained, spread)
    if best.residual <= most and not (line is not None and line * BETTER < best.residual):
        return "fault", f"{_name(best)} ({_left(best.residual, spread)}, {without}){_rivals(others)}"
    if own.residual <= close:
        return "agree", f"none: they agree but for little ({_left(own.residual, spread)})"
    if line is not None and line <= most:
        return "scaled", f"score scaled: {_line(own)} ({_left(line, spread)}, {without})"
    both = [(left, finding) for finding in others if (left := _line_fits(finding, explained, spread)) is not None]
    if both and images >= FEWEST_FOR_BOTH:
        left, finding = min(both, key=lambda pair: pair[0])
        return "fault and scaled", f"{_name(finding)}, and score scaled: {_line(finding)} ({_left(left, spread)})"
    nearest = min(findings, key=lambda finding: finding.residual)
    return "unexplained", f"no hypothesis explains it; nearest is {_name(nearest)} ({_left(nearest.residual, spread)})"


def _line_fits(finding: Finding, explained: float, spread: float) -> float | None:
    """What the straight line leaves unexplained, where that is little; a constant reference lies on every line."""
    if not spread or finding.scaled_residual is None or finding.scaled_residual > explained:
        return None
    return finding.scaled_residual


def _rivals(others: list[Finding]) -> str:
    best, *rest = others
    rivals = [_name(finding) for finding in rest if finding.residual <= RIVALS * best.residual]
    return f"; these images do not tell it from {' or '.join(rivals)}" if rivals else ""


def _name(finding: Finding) -> str:
    return f"{finding.fault}: {finding.detail}"


def _line(finding: Finding) -> str:
    return f"reference = {finding.slope:.5g} x score {finding.offset:+.5g}"


def _left(residual: float, spread: float) -> str:
    share = f", {100 * residual / spread:.2g} % of their spread" if spread else ", the reference is constant"
    return f"residual {residual:.2g}{share}"


def _rms(values: NDArray[np.float64]) -> float:
    return math.sqrt(float(values @ values) / values.size)

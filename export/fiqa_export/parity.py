"""One function compares any artefact with the torch reference and gives the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from fiqa_runtime.agreement import Agreement, agree
from fiqa_runtime.preprocess import Image
from fiqa_runtime.scorer import Scorer
from numpy.typing import NDArray

from fiqa_export.models import Reference
from fiqa_export.tensors import network_input

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Budget:
    """What a conversion may change."""

    max_abs: float
    """Largest |d| of the score, as a share of its range."""
    max_abs_dense: float
    """Largest |d| of any value of a map, of landmarks or of detector heads, as a share of that output's range."""
    srcc: float
    """Smallest Spearman correlation of the scores."""
    flips: float
    """Largest share of images whose decision changes at the threshold that rejects 10 %."""


FP32 = Budget(max_abs=1e-5, max_abs_dense=1e-4, srcc=0.9999, flips=0.0)
"""Same arithmetic in another runtime: only the order of summation may differ."""


@dataclass(frozen=True)
class Parity:
    """Measured agreement of an artefact with its reference."""

    images: int
    """Images compared."""
    budget: Budget
    """What was allowed."""
    max_abs: dict[str, float]
    """By output: largest |d|."""
    range: dict[str, float]
    """By output: nominal range of a bounded output, else its spread over the images."""
    score: Agreement | None
    """Agreement of the scores; None for a network without a score."""
    failures: tuple[str, ...]
    """One line for each part of the budget that is missed."""

    @property
    def passed(self) -> bool:
        """The verdict."""
        return not self.failures

    def as_json(self) -> dict[str, Any]:
        """For cards and reports."""
        return {**asdict(self), "passed": self.passed, "score": self.score and self.score.as_json()}


def reference_outputs(reference: Reference, image: Image) -> Arrays:
    """Outputs of the torch reference for one uint8 BGR image, float32, with a batch axis of 1."""
    outputs = reference.outputs(network_input([image], reference.spec.input), **reference.extra_inputs(1))
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def compare(expected: Sequence[Arrays], actual: Sequence[Arrays], scorer: Scorer, budget: Budget) -> Parity:
    """Verdict on an artefact's outputs (`actual`) against the reference's (`expected`), image by image."""
    max_abs, spans = {}, {}
    for output in scorer.card.outputs:
        pairs = [(e[output.name], a[output.name]) for e, a in zip(expected, actual, strict=True)]
        max_abs[output.name] = max(_largest_difference(e, a) for e, a in pairs)
        low, high = output.range or (min(e.min() for e, _ in pairs), max(e.max() for e, _ in pairs))
        spans[output.name] = float(high - low)
    score = None
    if "score" in max_abs:
        score = agree(*(np.array([float(o["score"][0, 0]) for o in outputs]) for outputs in (expected, actual)))
    return Parity(len(expected), budget, max_abs, spans, score, tuple(_failures(budget, max_abs, spans, score)))


def _largest_difference(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
    if expected.shape != actual.shape:
        return float("inf")
    difference = np.abs(expected.astype(np.float64) - actual)
    return float(np.nan_to_num(difference, nan=np.inf).max())


def _failures(budget: Budget, max_abs: dict[str, float], spans: dict[str, float], score: Agreement | None) -> list[str]:
    lines = []
    for name, d in max_abs.items():
        allowed = budget.max_abs if name == "score" else budget.max_abs_dense
        if not d <= allowed * spans[name]:
            lines.append(f"{name}: max |d| {d:.2e} exceeds {allowed:.0e} of the range {spans[name]:.3g}")
    if score is not None:
        if not score.srcc >= budget.srcc:
            lines.append(f"SRCC {score.srcc:.6f} is below {budget.srcc}")
        if not score.flips[0.10] <= budget.flips:
            lines.append(f"{score.flips[0.10]:.1%} of the decisions flip at 10 % rejection, allowed {budget.flips:.1%}")
    return lines

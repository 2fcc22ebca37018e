"""Re-score the card's canaries on this device, without torch: catches a wrong plan, kernel or preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.backends.base import CpuPrecision
from fiqa_runtime.card import Card
from fiqa_runtime.errors import CardError
from fiqa_runtime.seeded import seeded_image

if TYPE_CHECKING:
    from fiqa_runtime.scorer import Scorer

PROBES = 8
FAST_SHARE = 0.02
"""What `--cpu-precision fast` may move an output by, as a share of its range on the card. An error spread like the
scores and no larger than this keeps their rank correlation above 0.995, the budget of int8."""


def probe(output: NDArray[np.floating]) -> tuple[float, ...]:
    """At most eight values, evenly spread over the flattened output of one image: what a canary remembers."""
    flat = output.reshape(-1)
    positions = np.linspace(0, flat.size - 1, min(flat.size, PROBES)).round().astype(int)
    return tuple(float(v) for v in flat[positions])


@dataclass(frozen=True)
class SelfTest:
    """Result of re-scoring the canaries."""

    images: int
    """Canaries scored."""
    largest: dict[str, float]
    """By output: largest absolute difference to the torch reference."""
    tolerance: dict[str, float]
    """By output: what is allowed, see :func:`tolerance`."""

    @property
    def passed(self) -> bool:
        """Whether every output stays inside its tolerance."""
        return all(self.largest[name] <= limit for name, limit in self.tolerance.items())

    def __str__(self) -> str:
        lines = (
            f"{name} max |d| {self.largest[name]:.2e} (allowed {self.tolerance[name]:.2e})" for name in self.tolerance
        )
        return f"self-test {'passed' if self.passed else 'FAILED'} on {self.images} canaries: " + "; ".join(lines)


def tolerance(card: Card, precision: CpuPrecision) -> dict[str, float]:
    """By output name: how far canaries may be off; raises CardError where the card does not say."""
    if not card.canaries:
        raise CardError(f"the card of {card.model} has no canaries; export it with fiqa-export to get them")
    limits = dict(card.canary_tolerance)
    if not limits or any(canary.values.keys() != limits.keys() for canary in card.canaries):
        raise CardError(
            f"the card of {card.model} does not say how far each output of its canaries may be off; "
            "export it again with fiqa-export"
        )
    if precision == "exact":
        return limits
    spans = card.parity.get("range", {})
    if any(name not in spans for name in limits):
        raise CardError(
            f"the card of {card.model} gives no range of its outputs, so nothing bounds what --cpu-precision fast may "
            "change; leave it out, or export the artefact again"
        )
    return {name: max(limit, FAST_SHARE * spans[name]) for name, limit in limits.items()}


def self_test(scorer: Scorer) -> SelfTest:
    """Score the canaries of `scorer`'s card; raises CardError where the card has none."""
    card = scorer.card
    limits = tolerance(card, scorer.cpu_precision)
    largest = dict.fromkeys(limits, 0.0)
    for canary in card.canaries:
        outputs = scorer.outputs([seeded_image(canary.index, canary.height, canary.width, canary.seed)])
        for name in largest:
            difference = np.abs(np.subtract(probe(outputs[name][0]), canary.values[name]))
            largest[name] = max(largest[name], float(np.nan_to_num(difference, nan=np.inf).max()))
    return SelfTest(len(card.canaries), largest, limits)

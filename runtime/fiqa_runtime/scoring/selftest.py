"""Re-score the card's canaries on this device, without torch: catches a wrong plan, kernel or preprocessing."""

from __future__ import annotations

from dataclasses import dataclass

from fiqa_runtime.scoring.canaries import differences
from fiqa_runtime.scoring.scorer import Scorer


@dataclass(frozen=True)
class SelfTest:
    """Result of re-scoring the canaries."""

    images: int
    """Canaries scored."""
    largest: dict[str, float]
    """By output: largest absolute difference to the torch reference."""
    tolerance: dict[str, float]
    """By output: what is allowed, see :attr:`Scorer.canary_limits`."""

    @property
    def passed(self) -> bool:
        """Whether every output stays inside its tolerance."""
        return all(self.largest[name] <= limit for name, limit in self.tolerance.items())

    def __str__(self) -> str:
        lines = (
            f"{name} max |d| {self.largest[name]:.2e} (allowed {self.tolerance[name]:.2e})" for name in self.tolerance
        )
        return f"self-test {'passed' if self.passed else 'FAILED'} on {self.images} canaries: " + "; ".join(lines)


def self_test(scorer: Scorer) -> SelfTest:
    """Score the canaries of `scorer`'s card; raises CardError where the card has none."""
    card = scorer.card
    limits = scorer.canary_limits
    return SelfTest(len(card.canaries), differences(card, scorer.outputs), limits)

"""One frozen recipe per precision: its name, and what the conversion may change."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fiqa_runtime.artefact.facts import Budget
from fiqa_runtime.artefact.spec import Precision


@dataclass(frozen=True)
class Recipe:
    """How an artefact of one precision is judged."""

    precision: Precision
    """Part of the artefact's name and card."""
    budget: Budget
    """What it may change on seeded weights, which are harsher than trained ones."""
    trained_srcc: float
    """Smallest Spearman correlation of the scores on trained weights."""
    operations: float
    """Multiply-accumulates spent on seeded images of the parity check, within `images`."""
    images: tuple[int, int]
    """Fewest and most seeded images."""

    def budget_for(self, weights: str) -> Budget:
        """The budget for weights of a kind (:class:`fiqa_runtime.artefact.facts.Weights`)."""
        return self.budget if weights == "seeded" else replace(self.budget, srcc=self.trained_srcc, faces=True)


FP32 = Recipe(
    "fp32",
    Budget(srcc=0.9999, flips=0.0, max_abs={"score": 1e-5, "map": 1e-4, "landmarks": 1e-4, "head": 1e-4}),
    trained_srcc=0.9999,
    operations=4e11,
    images=(4, 32),
)
"""Same arithmetic in another runtime: only the order of summation may differ."""
FP16 = Recipe(
    "fp16",
    Budget(srcc=0.9998, flips=0.01, max_abs={"score": 0.005, "map": 0.01, "landmarks": 0.005, "head": 0.03}),
    trained_srcc=0.9999,
    operations=1e12,
    images=(8, 320),
)
"""True half arithmetic: a map has 50,000 chances per image to be off, and heads are judged by the faces they give."""
INT8 = Recipe(
    "int8", Budget(srcc=0.995, flips=0.01, correlation=0.99), trained_srcc=0.998, operations=1e12, images=(8, 320)
)
"""The ranking has to survive; single values may move."""
RECIPES: dict[Precision, Recipe] = {recipe.precision: recipe for recipe in (FP32, FP16, INT8)}

"""How each precision is judged: one frozen recipe per precision, with the budget of what a conversion may change."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fiqa_runtime.artefact.facts import Budget
from fiqa_runtime.artefact.spec import Precision


@dataclass(frozen=True)
class Recipe:
    """How an artefact of one precision is judged."""

    precision: Precision
    """Its name, which is part of the artefact's name and card."""
    budget: Budget
    """What it may change on seeded weights, which are a harder test than trained ones."""
    trained_srcc: float
    """Smallest Spearman correlation of the scores on trained weights."""
    operations: float
    """Multiply-accumulates to spend on the seeded images of the parity check; `images` bounds their number."""
    images: tuple[int, int]
    """Fewest and most seeded images of the parity check."""

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
"""fp32 is the same arithmetic in another runtime: only the order of summation may differ."""
FP16 = Recipe(
    "fp16",
    Budget(srcc=0.9998, flips=0.01, max_abs={"score": 0.005, "map": 0.01, "landmarks": 0.005, "head": 0.03}),
    trained_srcc=0.9999,
    operations=1e12,
    images=(8, 320),
)
"""fp16 is judged in true half arithmetic. A map has 50,000 values per image that may be off, and a detector is judged
by the faces that it finds."""
INT8 = Recipe(
    "int8", Budget(srcc=0.995, flips=0.01, correlation=0.99), trained_srcc=0.998, operations=1e12, images=(8, 320)
)
"""The ranking has to survive; single values may move."""
RECIPES: dict[Precision, Recipe] = {recipe.precision: recipe for recipe in (FP32, FP16, INT8)}

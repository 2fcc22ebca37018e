"""How each precision is judged: one frozen recipe per precision, with the budget of what a conversion may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Precision = Literal["fp32", "fp16", "int8"]


@dataclass(frozen=True)
class Budget:
    """What a conversion may change, judged against the torch reference in float32."""

    srcc: float
    """Smallest Spearman correlation of the scores."""
    flips: float
    """Largest share of images whose decision changes at the threshold that rejects 10 %."""
    max_abs: Mapping[str, float] = field(default_factory=dict)
    """Largest difference of any value, as a share of the range of the output, by kind of output
    (:class:`fiqa_runtime.artefact.spec.OutputSpec`)."""
    correlation: float = 0.0
    """Smallest Pearson correlation, per image, of a map, of landmarks or of a detector's heads with those of the
    reference."""
    faces: bool = False
    """Whether a detector has to find the same faces. They are then judged in place of the correlation of its heads."""


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
        """The budget for weights of a kind (:class:`fiqa_export.checkpoints.checkpoint.WeightsInfo`)."""
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
"""int8 has to keep the ranking; single values may move."""
RECIPES: dict[str, Recipe] = {recipe.precision: recipe for recipe in (FP32, FP16, INT8)}

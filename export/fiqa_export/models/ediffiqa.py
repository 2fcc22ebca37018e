"""eDifFIQA: recognition backbone plus a two-layer regression head (Babnik et al., IEEE TBIOM 2024).

T uses a MobileFaceNet whose embedding is divided by its L2 norm, S, M and L an IResNet whose embedding
is not.
"""

from __future__ import annotations

from fiqa_runtime.artefact.spec import ModelSpec
from torch import Tensor, nn

from fiqa_export.models.blocks.iresnet import iresnet
from fiqa_export.models.blocks.mobilefacenet import MobileFaceNet
from fiqa_export.models.reference import Reference

DEPTHS = {"ediffiqa-s": 18, "ediffiqa-m": 50, "ediffiqa-l": 100}
"""IResNet depth by model name."""


class Head(nn.Module):
    """Embedding (N, 512) -> quality (N, 1), unbounded, higher is better."""

    def __init__(self) -> None:
        super().__init__()
        self.l1 = nn.Linear(512, 1024)
        self.ac = nn.GELU()
        self.l2 = nn.Linear(1024, 1)

    def forward(self, embedding: Tensor) -> Tensor:
        score: Tensor = self.l2(self.ac(self.l1(embedding)))
        return score


class EDifFIQA(Reference):
    """RGB (N, 3, 112, 112) in [-1, 1] -> score (N, 1). `base_model` alone gives the embedding (N, 512)."""

    def __init__(self, spec: ModelSpec, base_model: nn.Module) -> None:
        super().__init__(spec)
        self.base_model = base_model
        self.mlp = Head()

    def forward(self, x: Tensor) -> Tensor:
        score: Tensor = self.mlp(self.base_model(x))
        return score


def build(spec: ModelSpec) -> EDifFIQA:
    """The network of `spec` with untrained parameters."""
    base_model = iresnet(DEPTHS[spec.name]) if spec.name in DEPTHS else MobileFaceNet()
    return EDifFIQA(spec, base_model)

"""CR-FIQA: an IResNet with one more linear layer on its embedding (Boutros et al., CVPR 2023)."""

from __future__ import annotations

from fiqa_runtime.artefact.spec import ModelSpec
from torch import Tensor, nn

from fiqa_export.models.blocks.iresnet import iresnet
from fiqa_export.models.reference import Reference

DEPTHS = {"cr-fiqa-s": 50, "cr-fiqa-l": 100}
"""IResNet depth by model name."""


class CRFIQA(Reference):
    """RGB (N, 3, 112, 112) in [-1, 1] -> score (N, 1), unbounded, higher is better.

    The backbone's layers stand beside `qs`, without a prefix, as in the published state dict.
    """

    def __init__(self, spec: ModelSpec, depth: int) -> None:
        super().__init__(spec)
        backbone = dict(iresnet(depth).named_children())
        for name, layer in backbone.items():
            self.add_module(name, layer)
        self.qs = nn.Linear(512, 1)
        self._backbone = tuple(backbone)

    def embedding(self, x: Tensor) -> Tensor:
        """RGB (N, 3, 112, 112) in [-1, 1] -> recognition embedding (N, 512), not normalised."""
        for name in self._backbone:
            x = self.get_submodule(name)(x)
        return x

    def forward(self, x: Tensor) -> Tensor:
        score: Tensor = self.qs(self.embedding(x))
        return score


def build(spec: ModelSpec) -> CRFIQA:
    """The network of `spec` with untrained parameters."""
    return CRFIQA(spec, DEPTHS[spec.name])

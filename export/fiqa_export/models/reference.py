"""What every reference network offers to the chain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from fiqa_runtime.artefact.spec import ModelSpec
from torch import Tensor, nn


class Reference(nn.Module):
    """Base of the reference networks: official parameter names below it, the network's spec beside it."""

    calibration_images: ClassVar[int] = 8
    """Batch-norm calibration of seeded weights: number of seeded images."""
    calibration_size: tuple[int, int]
    """Batch-norm calibration of seeded weights: height and width of those images."""
    seeded_scale: Mapping[str, float] = {}
    """Entries that the conditioned variant of the seeded weights multiplies, with their factors."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.calibration_size = (spec.input.height or 320, spec.input.width or 320)

    def calibration_forward(self, x: Tensor) -> None:
        """The part of the network that has batch norms, run once over the calibration batch."""
        self(x)

    def extra_inputs(self, batch: int) -> dict[str, Tensor]:
        """Inputs beside the image, by graph name, for `batch` images with nothing special about them."""
        return {}

    def freeze(self) -> None:
        """Compute what the exported graph holds as constants; called once the weights are final."""

    def outputs(self, x: Tensor, **extra: Tensor) -> dict[str, Tensor]:
        """`forward` with its results by the names of ``spec.outputs``, without gradients."""
        with torch.no_grad():
            result = self(x, **extra)
        tensors = result if isinstance(result, tuple) else (result,)
        return dict(zip((output.name for output in self.spec.outputs), tensors, strict=True))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.spec.name}, {sum(p.numel() for p in self.parameters()):,} parameters>"

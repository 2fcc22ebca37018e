"""The interface of every reference network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from fiqa_runtime.artefact.spec import ModelSpec
from torch import Tensor, nn


class Reference(nn.Module):
    """Base class of the reference networks. Its parameters have the names of the published state dict; `spec` is the
    network's spec."""

    calibration_images: ClassVar[int] = 8
    """Number of seeded images with which the batch norms of seeded weights are calibrated."""
    calibration_size: tuple[int, int]
    """Height and width of these images."""
    seeded_scale: Mapping[str, float] = {}
    """Factors by which conditioned seeded weights are multiplied, by entry of the state dict."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.calibration_size = (spec.input.height or 320, spec.input.width or 320)

    def calibration_forward(self, x: Tensor) -> None:
        """Run the part of the network that has batch norms once over the calibration batch."""
        self(x)

    def extra_inputs(self, batch: int) -> dict[str, Tensor]:
        """Ordinary values of the inputs beside the image, by graph name, for `batch` images."""
        return {}

    def freeze(self) -> None:
        """Compute what the exported graph holds as constants; called once the weights are final."""

    def outputs(self, x: Tensor, **extra: Tensor) -> dict[str, Tensor]:
        """Results of `forward`, by the names of ``spec.outputs``, computed without gradients."""
        with torch.no_grad():
            result = self(x, **extra)
        tensors = result if isinstance(result, tuple) else (result,)
        return dict(zip((output.name for output in self.spec.outputs), tensors, strict=True))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.spec.name}, {sum(p.numel() for p in self.parameters()):,} parameters>"

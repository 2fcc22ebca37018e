"""Seeded weights, version 1: the same parameters on any machine, computed from the names of the parameters alone.

With them the whole toolchain runs, and a port can be compared with the published implementation, where the official
checkpoint is not at hand. Scores under seeded weights mean nothing about faces.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from fiqa_runtime.images.seeded import rng, seeded_image
from numpy.typing import NDArray
from torch import nn

from fiqa_export.models import Reference
from fiqa_export.models.inputs import reference_input

__all__ = ["load_seeded", "seeded_image", "seeded_tensor"]

_KEPT = ("num_batches_tracked", "attn_mask", "relative_position_index")


def seeded_tensor(name: str, shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float64]:
    """Value (float64) of the floating-point state-dict entry `name` of `shape` (at least 1-D), before calibration."""
    if name.endswith("running_mean"):
        return np.zeros(shape)
    if name.endswith("running_var"):
        return np.ones(shape)
    u = 2 * rng(f"weights:{seed}:{name}").random(shape) - 1
    if len(shape) == 1:
        if not name.endswith("weight"):
            return 0.1 * u
        return 0.25 + 0.1 * u if "prelu" in name else 1 + 0.2 * u
    if len(shape) == 3 and shape[0] == 1:
        return 0.5 * u
    return math.sqrt(3 / math.prod(shape[1:])) * u


def load_seeded(
    model: Reference, seed: int = 0, dtype: torch.dtype = torch.float32, conditioned: bool = True
) -> Reference:
    """Fill `model` with seeded weights, calibrate its batch norms in float64, return it in eval mode as `dtype`.

    A network of several files is seeded under the names that the files use. `conditioned` applies the model's
    `seeded_scale`; without it float32 cannot follow float64 in networks that saturate (see :class:`Reference`).
    """
    prefixes = tuple(c.prefix for c in next(iter(model.spec.weights.values())))
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    model = model.to(torch.float64 if norms else dtype)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if not tensor.is_floating_point() or tensor.ndim == 0 or name.endswith(_KEPT):
                continue
            file_name = next((name[len(p) :] for p in prefixes if name.startswith(p)), name)
            tensor.copy_(torch.from_numpy(seeded_tensor(file_name, tuple(tensor.shape), seed)))
            if conditioned:
                tensor.mul_(model.seeded_scale.get(name, 1.0))
    if norms:
        _calibrate(model, norms, seed)
    return model.to(dtype).eval()


def _calibrate(model: Reference, norms: list[nn.BatchNorm1d | nn.BatchNorm2d], seed: int) -> None:
    model.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train()
        norm.momentum = 1.0
    height, width = model.calibration_size
    images = [seeded_image(100 + i, height, width, seed) for i in range(model.calibration_images)]
    with torch.no_grad():
        model.calibration_forward(reference_input(images, model.spec.input, torch.float64))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()

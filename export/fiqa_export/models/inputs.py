"""Turns images into network inputs: torch tensors for the reference, or arrays for the exported graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.images.preprocess import prepare, to_network_size
from numpy.typing import NDArray

from fiqa_export.models import Reference


def reference_input(
    images: Sequence[NDArray[np.uint8]], spec: InputSpec, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """uint8 BGR images -> the normalised tensor (N, 3, H, W) that the network sees.

    float32 is exactly what the runtime feeds. float64 is normalised in float64, for comparisons at 1e-9.
    """
    if dtype == torch.float32:
        return torch.from_numpy(prepare(images, spec))
    pixels = np.stack([to_network_size(image, spec) for image in images]).astype(np.float64)
    if spec.colour == "RGB":
        pixels = pixels[..., ::-1]
    normalised = (pixels - np.asarray(spec.mean)) / np.asarray(spec.std)
    return torch.from_numpy(np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))).to(dtype)


def graph_inputs(reference: Reference, image: NDArray[np.uint8]) -> Arrays:
    """The inputs of the graph for one uint8 BGR image: float32 arrays with a batch axis of 1, by name."""
    tensors = {reference.spec.input.name: reference_input([image], reference.spec.input), **reference.extra_inputs(1)}
    return {name: tensor.numpy() for name, tensor in tensors.items()}

"""Pixels to the network's tensor: one copy, and the same float32 numbers as the formula on the card."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.images.preprocess import prepare
from fiqa_runtime.images.seeded import seeded_image


def expected(crops: list[np.ndarray], spec: InputSpec) -> np.ndarray:
    """(pixel - mean) * (1 / std), every step in float32."""
    order = [2, 1, 0] if spec.colour == "RGB" else [0, 1, 2]
    pixels = np.stack(crops)[..., order].astype(np.float32).transpose(0, 3, 1, 2)
    mean = np.asarray(spec.mean, np.float32)[:, None, None]
    scale = (1 / np.asarray(spec.std)).astype(np.float32)[:, None, None]
    network_input: np.ndarray = (pixels - mean) * scale
    return network_input


@pytest.mark.parametrize("name", ["ediffiqa-t", "facexformer", "yunet-s"])
@pytest.mark.parametrize("count", [1, 3])
def test_the_tensor_is_the_formula_to_the_bit(name: str, count: int) -> None:
    spec = MODELS[name].input
    crops = [seeded_image(index, spec.height or 64, spec.width or 96) for index in range(count)]
    tensor = prepare(crops, spec)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    np.testing.assert_array_equal(tensor, expected(crops, spec))


def test_crops_may_be_views() -> None:
    spec = replace(MODELS["ediffiqa-t"].input, mean=(1.0, 2.0, 3.0), std=(0.5, 3.0, 7.0), colour="BGR")
    view = seeded_image(0, 224, 224)[::2, ::-2]
    np.testing.assert_array_equal(prepare([view], spec), expected([view], spec))

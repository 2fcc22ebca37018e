"""Files written for one picture size, loaded for any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from fiqa_runtime.onnx_bytes.free_size import free_size


@pytest.fixture(scope="module")
def fixed(weights_dir: Path) -> bytes:
    return (weights_dir / "face_detection_yunet_2023mar.onnx").read_bytes()


def test_the_size_is_free_and_the_numbers_stay(fixed: bytes) -> None:
    freed = free_size(fixed, "input")
    model = onnx.load_from_string(freed)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value or d.dim_param for d in dims] == [1, 3, "rows", "columns"]
    assert model.graph.node == onnx.load_from_string(fixed).graph.node
    before, after = (ort.InferenceSession(m, providers=["CPUExecutionProvider"]) for m in (fixed, freed))
    assert [o.name for o in after.get_outputs()] == [o.name for o in before.get_outputs()]
    image = np.random.default_rng(0).uniform(0, 255, (1, 3, 640, 640)).astype(np.float32)
    for a, b in zip(before.run(None, {"input": image}), after.run(None, {"input": image}), strict=True):
        np.testing.assert_array_equal(a, b)
    (cells, *_) = after.run(None, {"input": image[:, :, :64, :96]})
    assert cells.shape == (1, 8 * 12, 1)


def test_another_input_is_left_alone(fixed: bytes) -> None:
    model = onnx.load_from_string(free_size(fixed, "other"))
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 640, 640]


def test_a_file_cut_short(fixed: bytes) -> None:
    with pytest.raises(ValueError, match="damaged or cut short"):
        free_size(fixed[: len(fixed) // 2], "input")

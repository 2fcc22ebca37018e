"""Rewrites of activations: results stay, OpenCV runs what it refused, and what does not match is left alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from fiqa_export.graph.activation_passes import hard_sigmoid_as_clip

from tests.help.samples.onnx_graphs import node, save_graph

RNG = np.random.default_rng(5)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def run(path: Path, x: np.ndarray) -> np.ndarray:
    result: np.ndarray = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    return result


def rewritten(path: Path) -> Counter[str]:
    model = ir.load(path)
    hard_sigmoid_as_clip(model)
    ir.save(model, path)
    return Counter(n.op_type for n in model.graph)


@pytest.mark.parametrize("names", ["w", "w b"])
@pytest.mark.parametrize("options", [{}, {"alpha": 1 / 6, "beta": 0.4}])
def test_a_gate_becomes_a_clip(tmp_path: Path, names: str, options: dict[str, Any]) -> None:
    weights = {"w": normal(6, 4, 3, 3), "b": normal(6)}
    used = {name: weights[name] for name in names.split()}
    nodes = [node("Conv", f"x {names}", "c", pads=[1] * 4, strides=[2, 2]), node("HardSigmoid", "c", **options)]
    path, x = save_graph(tmp_path / "g.onnx", nodes, used, [None, 4, 9, 8]), normal(3, 4, 9, 8)
    expected = run(path, x)
    assert 0.0 in expected and 1.0 in expected
    assert rewritten(path) == Counter(Conv=1, Clip=1)
    np.testing.assert_allclose(run(path, x), expected, atol=2e-6)


def test_a_gate_in_half_precision_stays_in_it(tmp_path: Path) -> None:
    nodes = [
        node("Cast", "x", "h", to=onnx.TensorProto.FLOAT16),
        node("Conv", "h w", "c"),
        node("HardSigmoid", "c", "g"),
        node("Cast", "g", to=onnx.TensorProto.FLOAT),
    ]
    path = save_graph(tmp_path / "g.onnx", nodes, {"w": normal(6, 4, 3, 3).astype(np.float16)}, [None, 4, 9, 8])
    x = normal(3, 4, 9, 8)
    expected = run(path, x)
    assert rewritten(path)["Clip"] == 1
    np.testing.assert_allclose(run(path, x), expected, atol=5e-3)


def left_alone(path: Path, nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray]) -> bool:
    graph = save_graph(path / "g.onnx", nodes, weights, [None, 4, 9, 8])
    return rewritten(graph)["HardSigmoid"] == 1


def test_a_convolution_that_others_read_stays(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "c"), node("HardSigmoid", "c", "g"), node("Mul", "c g")]
    assert left_alone(tmp_path, nodes, {"w": normal(6, 4, 3, 3)})


def test_other_readings_stay(tmp_path: Path) -> None:
    assert left_alone(tmp_path, [node("Relu", "x", "c"), node("HardSigmoid", "c")], {})

"""Equalised graphs compute the same, whatever stands between the layers; what cannot be scaled is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from fiqa_calibration.activations import measure
from fiqa_export.graph.loading import open_graph
from fiqa_export.int8.equalisation import equalise
from fiqa_export.int8.qdq import activations_read, candidates, channel_axis

from tests.help.samples.onnx_graphs import node, save_graph

RNG = np.random.default_rng(11)
UNLIKE = np.exp2(np.arange(8) * 1.5).astype(np.float32)
"""Gains of eight channels."""
IMAGE, ROWS = [1, 3, 9, 9], [1, 5, 8]
SAME = {"pads": [1, 1, 1, 1]}


def conv(inputs: str, output: str, **attributes: object) -> onnx.NodeProto:
    return node("Conv", inputs, output, name=output, **attributes)


def gained(*shape: int) -> np.ndarray:
    """Weights of a layer that writes channels of very unlike magnitudes along the first axis."""
    weights: np.ndarray = (RNG.standard_normal(shape).T * UNLIKE).T.astype(np.float32)
    return weights


def random(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def norm() -> dict[str, np.ndarray]:
    return {"s": 1 + random(8) / 8, "o": random(8), "m": random(8), "v": 1 + np.abs(random(8))}


FIRST, LAST = conv("x w1", "a", **SAME), conv("r w2", "y")
WEIGHTS = {"w1": gained(8, 3, 3, 3), "w2": random(2, 8, 3, 3)}
GRAPHS = {
    "relu": ([FIRST, node("Relu", "a", "r"), LAST], WEIGHTS, IMAGE),
    "slope per channel": ([FIRST, node("PRelu", "a p", "r"), LAST], WEIGHTS | {"p": random(8, 1, 1)}, IMAGE),
    "pool": ([FIRST, node("MaxPool", "a", "r", kernel_shape=[2, 2]), LAST], WEIGHTS, IMAGE),
    "batch norm that reads": ([FIRST, node("BatchNormalization", "a s o m v", "r"), LAST], WEIGHTS | norm(), IMAGE),
    "residual sum": (
        [FIRST, conv("a w3", "b", **SAME), node("Add", "a b", "r"), LAST],
        WEIGHTS | {"w3": gained(8, 8, 3, 3)},
        IMAGE,
    ),
    "depth-wise": ([FIRST, conv("a w3", "r", group=8), LAST], WEIGHTS | {"w3": random(8, 1, 3, 3)}, IMAGE),
    "grouped": ([FIRST, conv("a w3", "r", group=2), LAST], WEIGHTS | {"w3": random(8, 4, 3, 3)}, IMAGE),
    "head": (
        [FIRST, node("GlobalAveragePool", "a", "p"), node("Flatten", "p", "r"), node("Gemm", "r w2 b", name="head")],
        {"w1": WEIGHTS["w1"], "w2": random(8, 2), "b": random(2)},
        IMAGE,
    ),
    "layer norm of tokens": (
        [node("LayerNormalization", "x s o", "r", axis=-1), node("MatMul", "r w2", name="product")],
        {"s": UNLIKE, "o": random(8), "w2": random(8, 2)},
        ROWS,
    ),
    "layer norm of windows, channels last": (
        [node("LayerNormalization", "x s o", "r", axis=-1), node("MatMul", "r w2", name="product")],
        {"s": UNLIKE, "o": random(8), "w2": random(8, 2)},
        [1, 4, 3, 8],
    ),
    "read along both axes": (
        [FIRST, node("Relu", "a", "r"), conv("r w2", "c"), node("MatMul", "r w3", "d", name="product"),
         node("ReduceMean", "c axes", "e", keepdims=0), node("ReduceMean", "d axes", "f", keepdims=0),
         node("Concat", "e f", axis=1)],
        WEIGHTS | {"w3": random(9, 2), "axes": np.array([2, 3])},
        IMAGE,
    ),
}  # fmt: skip
EQUALISED = {
    "relu": {"r"},
    "slope per channel": {"r"},
    "pool": {"r"},
    "batch norm that reads": {"r"},
    "residual sum": {"a", "r"},
    "depth-wise": {"a", "r"},
    "layer norm of tokens": {"r"},
    "layer norm of windows, channels last": {"r"},
}
"""Tensors that are equalised."""


@pytest.mark.parametrize("name", GRAPHS)
def test_network_computes_the_same(name: str, tmp_path: Path) -> None:
    nodes, weights, shape = GRAPHS[name]
    path = save_graph(tmp_path / "g.onnx", nodes, weights, shape)
    model, x = open_graph(path), random(*shape)
    before = run(model, x)
    read = [value for n in candidates(model.graph) for value in activations_read(n)]
    statistics = measure(path, {str(value.name): channel_axis(value) for value in read}, [{"x": x}])
    done = equalise(model, {tensor: s.channels for tensor, s in statistics.items()})
    assert set(done) == EQUALISED.get(name, set())
    np.testing.assert_allclose(run(model, x), before, rtol=1e-4, atol=1e-5 * np.abs(before).max())


def run(model: ir.Model, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    (result,) = session.run(["y"], {"x": x})
    return np.asarray(result)

"""A small residual network as an ONNX file, and what the int8 step has to be told about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from fiqa_calibration.parity_set import ParitySet
from fiqa_export.models import Reference
from fiqa_runtime.artefact.spec import InputSpec, ModelSpec, OutputSpec
from fiqa_runtime.images.seeded import rng
from onnx import TensorProto, helper, numpy_helper

from tests.help.samples.onnx_graphs import node

SIDE, WIDTH = 32, 48
SPEC = ModelSpec(
    name="small",
    family="small",
    task="quality",
    input=InputSpec(SIDE, SIDE, "RGB", (127.5,) * 3, (127.5,) * 3, "none", "photo"),
    outputs=(OutputSpec("score", "score"),),
    parameters=0,
    macs=10**8,
    licence="none",
    source="tests",
    weights={},
)
REFERENCE = Reference(SPEC)
PARITY = ParitySet(100, [], (SIDE, SIDE))
POISON = 300.0


def save_network(path: Path, poisoned: bool = False, seed: int = 0) -> Path:
    """Score of a 32 x 32 crop: two layers, a residual block, a pooled head.

    Poisoned, one channel before the layer `third` is 300 times as large as the others, and its weights there are as
    much smaller: the same function, nearly, but one int8 scale cannot serve all channels. A GELU in between keeps
    equalisation from undoing it.
    """
    stream = rng(f"small network {seed}")
    weights = {
        "w1": _normal(stream, WIDTH, 3, 3, 3),
        "w2": _normal(stream, WIDTH, WIDTH, 3, 3),
        "w3": _normal(stream, WIDTH, WIDTH, 3, 3),
        "w4": _normal(stream, WIDTH, WIDTH, 3, 3),
        "w5": _normal(stream, 1, WIDTH),
        **{f"b{i}": 0.2 * stream.standard_normal(WIDTH).astype(np.float32) for i in range(1, 5)},
        "b5": np.zeros(1, np.float32),
    }
    if poisoned:
        weights["w2"][0] *= POISON
        weights["b2"][0] *= POISON
        weights["w3"][:, 0] /= POISON
    nodes = [
        node("Conv", "input w1 b1", "c1", name="first", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", "c1", "r1", name="relu1"),
        node("Conv", "r1 w2 b2", "c2", name="second", pads=[1, 1, 1, 1]),
        node("Gelu", "c2", "g2", name="gelu"),
        node("Conv", "g2 w3 b3", "c3", name="third", pads=[1, 1, 1, 1]),
        node("Add", "c3 r1", "a", name="sum"),
        node("Relu", "a", "r3", name="relu3"),
        node("Conv", "r3 w4 b4", "c4", name="fourth", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Relu", "c4", "r4", name="relu4"),
        node("GlobalAveragePool", "r4", "p", name="pool"),
        node("Flatten", "p", "f", name="flatten"),
        node("Gemm", "f w5 b5", "score", name="head", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch", 1])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def _normal(stream: np.random.Generator, *shape: int) -> np.ndarray:
    return np.asarray(stream.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:])), np.float32)

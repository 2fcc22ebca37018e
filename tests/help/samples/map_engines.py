"""A small network with scores and maps, as fp32, fp16 and int8 artefacts with cards: IFQA in miniature."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import onnx
from fiqa_runtime.artefact.card import Card, with_files, write_card
from fiqa_runtime.artefact.facts import Weights
from fiqa_runtime.artefact.spec import InputSpec, Precision
from fiqa_runtime.artefact.zoo import MODELS
from onnx import NodeProto, TensorProto, helper, numpy_helper

SIDE = 32
LEVELS = 4
"""Steps of the integer weights on either side of 0: too few, so that scores move."""


def map_engines(folder: Path) -> dict[Precision, Path]:
    """`map.fp32.onnx`, `map.fp16.onnx` and the coarse `map.int8.onnx` by precision."""
    folder.mkdir(parents=True, exist_ok=True)
    return {precision: _engine(folder, precision) for precision in get_args(Precision)}


def _engine(folder: Path, precision: Precision) -> Path:
    generator = np.random.default_rng(3)
    nodes: list[NodeProto] = []
    tensors: list[TensorProto] = []
    for name, shape in (("first", (24, 3, 5, 5)), ("second", (1, 24, 5, 5))):
        values = generator.normal(0, 1, shape).astype(np.float32)
        values -= values.mean(axis=(2, 3), keepdims=True)
        more = _stored(name, values / np.sqrt(values[0].size).astype(np.float32), precision)
        nodes += more[0]
        tensors += more[1]
    tensors += [
        numpy_helper.from_array(np.array(v, k), n)
        for n, v, k in (("gain", 6, np.float32), ("axes", [2, 3], np.int64), ("flat", [-1, 1], np.int64))
    ]
    nodes += [
        helper.make_node("Conv", ["input", "first"], ["a"], pads=[2, 2, 2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["c"], pads=[2, 2, 2, 2]),
        helper.make_node("Mul", ["c", "gain"], ["d"]),
        helper.make_node("Sigmoid", ["d"], ["map"]),
        helper.make_node("ReduceMean", ["map", "axes"], ["mean"]),
        helper.make_node("Reshape", ["mean", "flat"], ["score"]),
    ]
    floats: dict[str, list[str | int]] = {"input": ["n", 3, SIDE, SIDE], "score": ["n", 1], "map": ["n", 1, SIDE, SIDE]}
    infos = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in floats.items()}
    graph = helper.make_graph(nodes, "map", [infos.pop("input")], list(infos.values()), tensors)
    path = folder / f"map.{precision}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    half = (127.5, 127.5, 127.5)
    card = Card(
        model="ifqa",
        precision=precision,
        format="onnx",
        input=InputSpec(SIDE, SIDE, "RGB", half, half, "opencv-bilinear", "ffhq"),
        outputs=MODELS["ifqa"].outputs,
        licence="none",
        source="a test",
        max_batch=16,
        weights=Weights("seeded", "drawn by a test"),
    )
    write_card(with_files(card, folder, [path.name]), path)
    return path


def _stored(name: str, values: np.ndarray, precision: str) -> tuple[list[NodeProto], list[TensorProto]]:
    """`values` in the precision, and what turns them into float32 again."""
    if precision == "fp32":
        return [], [numpy_helper.from_array(values, name)]
    if precision == "fp16":
        half = numpy_helper.from_array(values.astype(np.float16), f"{name}16")
        return [helper.make_node("Cast", [half.name], [name], to=TensorProto.FLOAT)], [half]
    step = np.abs(values).max() / LEVELS
    whole = numpy_helper.from_array(np.rint(values / step).astype(np.int8), f"{name}8")
    scale = numpy_helper.from_array(np.float32(step), f"{name}_scale")
    return [helper.make_node("DequantizeLinear", [whole.name, scale.name], [name])], [whole, scale]

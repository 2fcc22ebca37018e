"""Small ONNX graphs that tests write by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from fiqa_runtime.artefact.spec import InputSpec
from onnx import TensorProto, helper, numpy_helper


def save_graph(
    path: Path,
    nodes: list[onnx.NodeProto],
    weights: dict[str, np.ndarray],
    shape: Sequence[int | str | None],
) -> Path:
    """A float32 graph from x of `shape` to y."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def node(op: str, inputs: str, outputs: str = "y", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op, inputs.replace("-", "").split(" "), outputs.split(), **attributes)


def identity(path: Path, spec: InputSpec) -> None:
    """A graph that gives back what the network would see."""
    shape: list[str | int] = ["batch", 3, spec.height or "height", spec.width or "width"]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in (spec.name, "seen")]
    graph = helper.make_graph([helper.make_node("Identity", [spec.name], ["seen"])], "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)

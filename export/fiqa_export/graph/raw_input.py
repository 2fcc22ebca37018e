"""Puts preprocessing into the graph, which then takes uint8 BGR crops (N, H, W, 3) as cameras and OpenCV give them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from fiqa_runtime.artefact.spec import InputSpec
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

BGR_TO_RGB = np.array([2, 1, 0])


def take_raw_input(artefact: Path, spec: InputSpec) -> None:
    """Put colour order and normalisation of `spec` into the ONNX file `artefact`, in place.

    The arithmetic is that of :func:`fiqa_runtime.images.preprocess.prepare`, in float32 and in its order. Resizing
    stays outside.
    """
    model = onnx.load(str(artefact), load_external_data=False)
    graph = model.graph
    old = next(value for value in graph.input if value.name == spec.name)
    planes = f"{spec.name}/planes"
    for node in graph.node:
        node.input[:] = [planes if name == spec.name else name for name in node.input]
    batch, _, height, width = (d.dim_param or d.dim_value for d in old.type.tensor_type.shape.dim)
    position = list(graph.input).index(old)
    inputs = list(graph.input)
    inputs[position] = helper.make_tensor_value_info(spec.name, TensorProto.UINT8, [batch, height, width, 3])
    del graph.input[:]
    graph.input.extend(inputs)
    nodes, constants = _preprocessing(spec, planes)
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    graph.initializer.extend(constants)
    onnx.save(model, str(artefact))
    onnx.checker.check_model(str(artefact), full_check=True)


def _preprocessing(spec: InputSpec, result: str) -> tuple[list[onnx.NodeProto], list[TensorProto]]:
    """Nodes from the raw input to the value `result`, and their constants."""
    mean, scale = (np.asarray(values, np.float64) for values in (spec.mean, 1 / np.asarray(spec.std)))
    steps: list[tuple[str, dict[str, Any], NDArray[np.generic] | None]] = [
        ("Cast", {"to": TensorProto.FLOAT}, None),
        ("Transpose", {"perm": [0, 3, 1, 2]}, None),
    ]
    if spec.colour == "RGB":
        steps.append(("Gather", {"axis": 1}, BGR_TO_RGB))
    if mean.any():
        steps.append(("Sub", {}, mean.astype(np.float32).reshape(1, 3, 1, 1)))
    if (scale != 1).any():
        steps.append(("Mul", {}, scale.astype(np.float32).reshape(1, 3, 1, 1)))
    nodes, constants, value = [], [], spec.name
    for number, (operator, settings, constant) in enumerate(steps):
        name = f"{spec.name}/{operator}"
        feeds = [value]
        if constant is not None:
            constants.append(numpy_helper.from_array(constant, f"{name}.constant"))
            feeds.append(constants[-1].name)
        value = result if number == len(steps) - 1 else name
        nodes.append(helper.make_node(operator, feeds, [value], name, **settings))
    return nodes, constants

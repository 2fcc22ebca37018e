"""DSL-FIQA in miniature: the mean of a crop and, where the network has that input, of its landmark vector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from fiqa_runtime.artefact.card import Card, with_files, write_card
from fiqa_runtime.artefact.zoo import MODELS
from onnx import TensorProto, helper, numpy_helper


def portrait_engine(model: str, folder: Path) -> Path:
    """`<model>.fp32.onnx` with the card of `dsl-fiqa` or `dsl-fiqa-visible`, but without canaries."""
    spec = MODELS[model]
    shapes: dict[str, list[str | int | None]] = {
        "input": ["n", 3, spec.input.height, spec.input.width],
        "landmarks": ["n", 500],
        "score": ["n", 1],
    }
    nodes = [helper.make_node("ReduceMean", ["input", "axes"], ["crop"], keepdims=0)]
    if spec.input.sampling is not None and spec.input.sampling.landmarks == "input":
        nodes.append(helper.make_node("ReduceMean", ["landmarks", "one"], ["vector"], keepdims=0))
        nodes.append(helper.make_node("Add", ["crop", "vector"], ["sum"]))
    else:
        del shapes["landmarks"]
    nodes.append(helper.make_node("Unsqueeze", [nodes[-1].output[0], "one"], ["score"]))
    *inputs, output = (helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in shapes.items())
    tensors = [numpy_helper.from_array(np.array(v), n) for n, v in (("axes", [1, 2, 3]), ("one", [1]))]
    graph = helper.make_graph(nodes, "portrait", inputs, [output], tensors)
    path = folder / f"{model}.fp32.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    card = Card(model, "fp32", "onnx", spec.input, spec.outputs, spec.licence, spec.source, spec.max_batch)
    write_card(with_files(card, folder, [path.name]), path)
    return path

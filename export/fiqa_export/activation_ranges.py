"""Smallest and largest value of every activation of an fp32 network over given inputs, measured in ONNX Runtime.

The extremes are taken inside the graph, by reductions added to it: only two numbers per tensor leave it, so memory
does not grow with the number of tensors or of inputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from fiqa_runtime.errors import InputError
from numpy.typing import NDArray

from fiqa_export.onnx_graph import activations, open_graph

Inputs = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Range:
    """Extremes of one tensor. Infinite or NaN where the network itself overflows."""

    low: float
    high: float

    @property
    def largest(self) -> float:
        """Largest magnitude."""
        return float(np.maximum(-self.low, self.high))


def activation_ranges(network: Path, batches: Iterable[Inputs], threads: int | None = None) -> dict[str, Range]:
    """Range of every float activation of the ONNX file `network`, inputs and outputs included, by tensor name.

    `batches` are network inputs by graph name, float32 with a batch axis; they are read one at a time. Raises
    InputError where there is none, and what :func:`fiqa_export.onnx_graph.open_graph` raises.
    """
    model = open_graph(network)
    names = _add_extremes(model)
    session = _session(model, network.parent, threads)
    lowest = np.full(len(names), np.inf)
    highest = np.full(len(names), -np.inf)
    measured = False
    for inputs in batches:
        extremes = np.array(session.run(None, dict(inputs)), np.float64).reshape(len(names), 2)
        lowest, highest = np.minimum(lowest, extremes[:, 0]), np.maximum(highest, extremes[:, 1])
        measured = True
    if not measured:
        raise InputError(f"no inputs to measure the ranges of {network.name} with; give at least one image")
    return {name: Range(float(low), float(high)) for name, low, high in zip(names, lowest, highest, strict=True)}


def _add_extremes(model: ir.Model) -> list[str]:
    """Make the minimum and maximum of each float activation the only outputs; the activations' names in order."""
    graph = model.graph
    values = [value for value in activations(graph) if value.dtype == ir.DataType.FLOAT]
    graph.outputs.clear()
    for index, value in enumerate(values):
        for op in ("ReduceMin", "ReduceMax"):
            node = ir.node(op, [value], {"keepdims": 0})
            result = node.outputs[0]
            result.name, result.dtype, result.shape = f"{op}_{index}_of_range", ir.DataType.FLOAT, ir.Shape([])
            graph.append(node)
            graph.outputs.append(result)
    return [str(value.name) for value in values]


def _session(model: ir.Model, folder: Path, threads: int | None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    if threads:
        options.intra_op_num_threads = threads
    data = ir.to_proto(model).SerializeToString()
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])

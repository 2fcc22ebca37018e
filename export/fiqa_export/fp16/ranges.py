"""Measures the smallest and largest value of every activation of an fp32 network over given inputs, in ONNX Runtime.

The graph itself finds the extremes, by two reductions behind each tensor. Only two numbers per tensor leave it, so
memory does not grow with the number of tensors and inputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime as ort
from fiqa_calibration.activations import Inputs, session_options
from fiqa_runtime.errors import InputError

from fiqa_export.graph.loading import activations, open_graph


@dataclass(frozen=True)
class Extremes:
    """Smallest and largest value of one tensor; infinite where the network itself overflows. Single NaNs may go
    unnoticed, because ONNX Runtime's reductions pass over them."""

    low: float
    high: float

    @property
    def largest(self) -> float:
        """Largest magnitude."""
        return float(np.maximum(-self.low, self.high))


def activation_ranges(network: Path, batches: Iterable[Inputs]) -> dict[str, Extremes]:
    """Range of every float activation of the ONNX file `network`, inputs and outputs included, by tensor name.

    `batches` are network inputs by graph name, float32 with a batch axis; they are read one at a time. Raises
    InputError where `batches` is empty, and what :func:`fiqa_export.graph.loading.open_graph` raises.
    """
    names, data = _graph_of_extremes(network)
    session = _session(data, network.parent)
    lowest = np.full(len(names), np.inf)
    highest = np.full(len(names), -np.inf)
    measured = False
    for inputs in batches:
        extremes = np.array(session.run(None, dict(inputs)), np.float64).reshape(len(names), 2)
        lowest, highest = np.minimum(lowest, extremes[:, 0]), np.maximum(highest, extremes[:, 1])
        measured = True
    if not measured:
        raise InputError(f"no inputs to measure the ranges of {network.name} with; give at least one image")
    return {name: Extremes(float(low), float(high)) for name, low, high in zip(names, lowest, highest, strict=True)}


def _graph_of_extremes(network: Path) -> tuple[list[str], bytes]:
    """Names of all float activations, and a graph whose outputs are the minimum and maximum of each, in that order."""
    model = open_graph(network)
    graph = model.graph
    values = [value for value in activations(graph) if value.dtype == ir.DataType.FLOAT]
    graph.outputs.clear()
    first = next(iter(graph))
    for index, value in enumerate(values):
        nodes = [ir.node(op, [value], {"keepdims": 0}) for op in ("ReduceMin", "ReduceMax")]
        for node in nodes:
            result = node.outputs[0]
            result.name, result.dtype, result.shape = f"{node.op_type}_{index}", ir.DataType.FLOAT, ir.Shape([])
        graph.outputs.extend(node.outputs[0] for node in nodes)
        producer = value.producer()
        if producer is None:
            graph.insert_before(first, nodes)
        else:
            graph.insert_after(producer, nodes)
    return [str(value.name) for value in values], ir.to_proto(model).SerializeToString()


def _session(data: bytes, folder: Path) -> ort.InferenceSession:
    """A session that reduces each tensor as soon as it is computed, so that its memory can be freed."""
    options = session_options(folder)
    options.execution_order = ort.ExecutionOrder.PRIORITY_BASED
    options.enable_cpu_mem_arena = False
    return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])

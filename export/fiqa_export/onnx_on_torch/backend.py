"""Runs an ONNX graph node by node in the arithmetic that its types ask for: fp16 results are rounded to fp16.

ONNX Runtime's CPU provider computes fp16 graphs in float32 from end to end, so it says nothing about fp16. Here each
node reads its fp16 inputs, computes in float32 and rounds its results to fp16, as tensor cores with float32
accumulators and torch's own half kernels do (on the CPU those give the same numbers 3 to 90 times slower). fp32 graphs
run in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx_ir as ir
import torch
from fiqa_runtime.backends.base import Arrays, Inputs
from fiqa_runtime.errors import ArtefactError

from fiqa_export.graph.loading import open_graph
from fiqa_export.onnx_on_torch.arguments import DTYPES
from fiqa_export.onnx_on_torch.graph import Arguments, Results, TorchGraph, compute


class OnnxOnTorch:
    """Runs an ONNX file on torch, one node after the other, on the CPU; a backend like those of the runtime.

    Raises UnsupportedError for an operator that it does not cover, ArtefactError where a tensor does not have the type
    that the graph gives it, and what :func:`fiqa_export.graph.loading.open_graph` raises.
    """

    name = "torch"

    def __init__(self, artefact: Path) -> None:
        self._graph = TorchGraph(open_graph(artefact))
        self.info: Mapping[str, str] = {"version": torch.__version__, "device": "cpu", "arithmetic": "as typed"}

    def run(self, inputs: Inputs) -> Arrays:
        """Inputs by graph name -> outputs by graph name, in the types of the graph (float32 for ours)."""
        with torch.inference_mode():
            return {name: output.numpy() for name, output in self._graph.run(inputs, _compute_as_typed).items()}

    def close(self) -> None:
        """Free the weights."""
        self._graph.close()


def _compute_as_typed(node: ir.Node, arguments: Arguments) -> Results:
    precision = next((t.dtype for t in arguments if t is not None and t.is_floating_point()), torch.float32)
    results = compute(node, [t.float() if t is not None and t.dtype == torch.float16 else t for t in arguments])
    if node.op_type != "Cast":
        results = tuple(t.to(precision) if t.is_floating_point() else t for t in results)
    for value, result in zip(node.outputs, results, strict=False):
        if value.dtype is not None and DTYPES[value.dtype] != result.dtype:
            raise ArtefactError(f"{value.name} is {result.dtype}, its graph says {value.dtype}; export it again")
    return results

"""Runs an ONNX graph node by node in the arithmetic its types ask for: fp16 results are really rounded to fp16.

ONNX Runtime's CPU provider computes fp16 graphs in float32 from end to end, which proves nothing. Here each node reads
its fp16 inputs, computes in float32 and rounds what it gives to fp16, as tensor cores with float32 accumulators and
torch's own half kernels do (on the CPU those give the same numbers 3 to 90 times slower). fp32 graphs run in float32.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from fiqa_runtime.backends.base import Arrays, Inputs
from fiqa_runtime.errors import ArtefactError, InputError, UnsupportedError
from torch import Tensor

from fiqa_export.onnx_graph import open_graph
from fiqa_export.torch_ops import DTYPES, OPERATORS


class HalfBackend:
    """An ONNX file on torch, one node after the other, on the CPU; a backend like those of the runtime.

    Raises UnsupportedError for an operator it does not cover, ArtefactError where a tensor has not the type that the
    graph gives it, and what :func:`fiqa_export.onnx_graph.open_graph` raises.
    """

    name = "torch"

    def __init__(self, artefact: Path) -> None:
        self._model = open_graph(artefact)
        self._nodes = list(self._model.graph)
        missing = sorted({n.op_type for n in self._nodes if n.domain or n.op_type not in OPERATORS})
        if missing:
            raise UnsupportedError(f"operator {', '.join(missing)} is not covered; add it to fiqa_export/torch_ops.py")
        self._weights = {v: _tensor(v.const_value) for v in self._model.graph.initializers.values()}
        self._last_reader = {v: i for i, n in enumerate(self._nodes) for v in n.inputs if v is not None}
        self.info: Mapping[str, str] = {"version": torch.__version__, "device": "cpu", "arithmetic": "as typed"}

    def run(self, inputs: Inputs) -> Arrays:
        """Inputs by graph name -> outputs by graph name, in the types of the graph (float32 for ours)."""
        graph = self._model.graph
        unknown = {v.name for v in graph.inputs} ^ set(inputs)
        if unknown:
            raise InputError(
                f"inputs {sorted(map(str, unknown))} are missing or unknown; feed exactly the graph's inputs"
            )
        values = {v: torch.from_numpy(np.ascontiguousarray(inputs[str(v.name)])) for v in graph.inputs}
        with torch.inference_mode():
            for index, node in enumerate(self._nodes):
                arguments = [None if v is None else self._weights.get(v, values.get(v)) for v in node.inputs]
                values.update(zip(node.outputs, _execute(node, arguments), strict=False))
                for value in node.inputs:
                    if value in values and self._last_reader[value] == index and not value.is_graph_output():
                        del values[value]
        return {str(v.name): values[v].numpy() for v in graph.outputs}

    def close(self) -> None:
        self._weights.clear()


def _execute(node: ir.Node, inputs: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    precision = next((t.dtype for t in inputs if t is not None and t.is_floating_point()), torch.float32)
    wide = [t.float() if t is not None and t.dtype == torch.float16 else t for t in inputs]
    results = OPERATORS[node.op_type](node, *wide)
    results = results if isinstance(results, tuple) else (results,)
    if node.op_type != "Cast":
        results = tuple(t.to(precision) if t.is_floating_point() else t for t in results)
    for value, result in zip(node.outputs, results, strict=False):
        if value.dtype is not None and DTYPES[value.dtype] != result.dtype:
            raise ArtefactError(f"{value.name} is {result.dtype}, its graph says {value.dtype}; export it again")
    return results


def _tensor(weights: ir.TensorProtocol | None) -> Tensor:
    assert weights is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # read-only memory: weights are never written to
        return torch.from_numpy(np.asarray(weights.numpy(), order="C"))  # ascontiguousarray gives scalars an axis

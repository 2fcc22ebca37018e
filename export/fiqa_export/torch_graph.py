"""An ONNX graph on torch, node by node: whoever runs it may watch each node or compute it in another way."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator

import numpy as np
import onnx_ir as ir
import torch
from fiqa_runtime.backends.base import Inputs
from fiqa_runtime.errors import InputError, UnsupportedError
from torch import Tensor

from fiqa_export.torch_ops import OPERATORS

Arguments = list["Tensor | None"]
"""A node's inputs in order, None for an absent optional one."""
Results = tuple[Tensor, ...]
"""A node's outputs in order."""
Execute = Callable[[ir.Node, Arguments], Results]
"""Computes one node."""
Walk = Generator["tuple[ir.Node, Arguments]", Results, "dict[str, Tensor]"]
"""Gives one node after the other with its arguments, takes its results, and ends with the graph's outputs by name."""


def compute(node: ir.Node, arguments: Arguments) -> Results:
    """What the operator of `node` gives, in the arithmetic of its arguments; gradients reach every value."""
    results = OPERATORS[node.op_type](node, *arguments)
    return results if isinstance(results, tuple) else (results,)


class TorchGraph:
    """The graph of `model` with its constants as tensors; raises UnsupportedError for an operator it does not cover."""

    def __init__(self, model: ir.Model) -> None:
        self._inputs = [value for value in model.graph.inputs if not value.is_initializer()]
        self._outputs = list(model.graph.outputs)
        self._nodes = list(model.graph)
        missing = sorted({n.op_type for n in self._nodes if n.domain or n.op_type not in OPERATORS})
        if missing:
            raise UnsupportedError(f"operator {', '.join(missing)} is not covered; add it to fiqa_export/torch_ops.py")
        self._constants = {v: _tensor_of(v) for v in model.graph.initializers.values()}
        self._last_reader = {v: i for i, n in enumerate(self._nodes) for v in n.inputs if v is not None}

    def run(self, feed: Inputs, execute: Execute = compute) -> dict[str, Tensor]:
        """Graph outputs by name for network inputs by name, each node computed by `execute`; raises as :meth:`walk`."""
        walk = self.walk(feed)
        try:
            node, arguments = next(walk)
            while True:
                node, arguments = walk.send(execute(node, arguments))
        except StopIteration as end:
            outputs: dict[str, Tensor] = end.value
            return outputs

    def walk(self, feed: Inputs) -> Walk:
        """The graph node by node, for whoever computes them to stop in between; `feed` is the inputs by name.

        Values are forgotten once nothing reads them any more. Raises InputError where `feed` lacks an input or has one
        that the graph has not.
        """
        unknown = {str(value.name) for value in self._inputs} ^ set(feed)
        if unknown:
            raise InputError(f"inputs {sorted(unknown)} are missing or unknown; feed exactly the graph's inputs")
        values = {v: torch.from_numpy(np.ascontiguousarray(feed[str(v.name)])) for v in self._inputs}
        for index, node in enumerate(self._nodes):
            arguments = [None if v is None else self._constants.get(v, values.get(v)) for v in node.inputs]
            results = yield node, arguments
            values.update(zip(node.outputs, results, strict=False))
            for value in node.inputs:
                if value in values and self._last_reader[value] == index and not value.is_graph_output():
                    del values[value]
        return {str(v.name): values[v] for v in self._outputs}

    def close(self) -> None:
        """Let go of the constants; the graph cannot run afterwards."""
        self._constants.clear()


def _tensor_of(value: ir.Value) -> Tensor:
    """A constant of the graph, in the memory (or file) that holds it."""
    assert value.const_value is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # read-only memory: constants are never written to
        array = np.asarray(value.const_value.numpy(), order="C")  # ascontiguousarray gives scalars an axis
        return torch.from_numpy(array)

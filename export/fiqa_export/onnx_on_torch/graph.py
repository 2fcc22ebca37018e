"""Runs an ONNX graph on torch, node by node; the caller may watch each node or compute it in another way."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator
from contextlib import suppress
from itertools import pairwise

import numpy as np
import onnx_ir as ir
import torch
from fiqa_runtime.backends.base import Inputs
from fiqa_runtime.errors import InputError, UnsupportedError
from torch import Tensor

from fiqa_export.graph.loading import nominal_bytes
from fiqa_export.onnx_on_torch.operators import OPERATORS

Arguments = list["Tensor | None"]
"""A node's inputs in order, None for an absent optional one."""
Results = tuple[Tensor, ...]
"""A node's outputs in order."""
Execute = Callable[[ir.Node, Arguments], Results]
"""Computes one node."""
Values = dict[ir.Value, Tensor]
"""The values that are known at one point of the graph and read after it."""
Walk = Generator["tuple[ir.Node, Arguments]", Results, None]
"""Yields one node after the other with its arguments, and is sent its results."""


def compute(node: ir.Node, arguments: Arguments) -> Results:
    """The results of `node`, in the arithmetic of its arguments; gradients reach every value."""
    results = OPERATORS[node.op_type](node, *arguments)
    return results if isinstance(results, tuple) else (results,)


class TorchGraph:
    """The graph of `model` with its constants as tensors; raises UnsupportedError for an operator it does not cover."""

    def __init__(self, model: ir.Model) -> None:
        self._inputs = [value for value in model.graph.inputs if not value.is_initializer()]
        self._outputs = list(model.graph.outputs)
        self._nodes = list(model.graph)
        self.nodes = range(len(self._nodes))
        """All nodes in order, by position."""
        missing = sorted({n.op_type for n in self._nodes if n.domain or n.op_type not in OPERATORS})
        if missing:
            raise UnsupportedError(
                f"operator {', '.join(missing)} is not covered by fp16 and int8: export in fp32, or add it to "
                "fiqa_export/onnx_on_torch/operators.py"
            )
        self._constants = {v: _tensor_of(v) for v in model.graph.initializers.values()}
        self._last_reader = {v: i for i, n in enumerate(self._nodes) for v in n.inputs if v is not None}

    def run(self, feed: Inputs, execute: Execute = compute) -> dict[str, Tensor]:
        """Graph outputs by name for network inputs by name; `execute` computes the nodes. Raises what :meth:`enter`
        raises."""
        values = self.enter(feed)
        self.advance(values, self.nodes, execute)
        return self.outputs(values)

    def enter(self, feed: Inputs) -> Values:
        """The values before the first node; `feed` is the inputs by name.

        Raises InputError where `feed` lacks an input, or has one that the graph does not have.
        """
        unknown = {str(value.name) for value in self._inputs} ^ set(feed)
        if unknown:
            raise InputError(f"inputs {sorted(unknown)} are missing or unknown; feed exactly the graph's inputs")
        return {v: torch.from_numpy(np.ascontiguousarray(feed[str(v.name)])) for v in self._inputs}

    def advance(self, values: Values, nodes: range, execute: Execute = compute) -> None:
        """Compute `nodes` by `execute`: `values` are those before them and become those after them."""
        walk = self.walk(values, nodes)
        with suppress(StopIteration):
            node, arguments = next(walk)
            while True:
                node, arguments = walk.send(execute(node, arguments))

    def walk(self, values: Values, nodes: range) -> Walk:
        """Like :meth:`advance`, but node by node, so that the caller can stop in between.

        Values are dropped once nothing reads them any more.
        """
        for index in nodes:
            node = self._nodes[index]
            arguments = [None if v is None else self._tensor(v, values) for v in node.inputs]
            results = yield node, arguments
            values.update(zip(node.outputs, results, strict=False))
            for value in node.inputs:
                if value in values and self._last_reader[value] == index and not value.is_graph_output():
                    del values[value]

    def _tensor(self, value: ir.Value, values: Values) -> Tensor:
        return self._constants[value] if value in self._constants else values[value]

    def outputs(self, values: Values) -> dict[str, Tensor]:
        """The graph's outputs by name, once the last node is computed."""
        return {str(v.name): values[v] for v in self._outputs}

    def stretches(self, most: int) -> list[range]:
        """All nodes in order, cut so that the results of each part take at most `most` bytes for one image; a part may
        be one node."""
        cuts, held = [0], 0
        for index, node in enumerate(self._nodes):
            size = sum(map(nominal_bytes, node.outputs))
            if held + size > most and index > cuts[-1]:
                cuts.append(index)
                held = 0
            held += size
        return [range(start, end) for start, end in pairwise([*cuts, len(self._nodes)])]

    def close(self) -> None:
        """Free the constants; the graph cannot run afterwards."""
        self._constants.clear()


def _tensor_of(value: ir.Value) -> Tensor:
    """A constant of the graph as a tensor that shares its memory, or its file."""
    assert value.const_value is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # read-only memory: constants are never written to
        array = np.asarray(value.const_value.numpy(), order="C")  # ascontiguousarray gives scalars an axis
        return torch.from_numpy(array)

"""An fp32 ONNX graph on torch, node by node, open to whoever wants to watch: gradients reach every value."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import torch
from fiqa_calibration.ranges import Inputs
from fiqa_runtime.errors import UnsupportedError
from torch import Tensor

from fiqa_export.torch_ops import OPERATORS

Arguments = list["Tensor | None"]
Before = Callable[[ir.Node, Arguments], None]
"""Called with each node and its arguments, which may be exchanged in the list, before it is computed."""
After = Callable[[ir.Node, Arguments, Tensor], None]
"""Called with each node, its arguments and its first result."""


class TorchGraph:
    """The graph of `model` with its constants as tensors; raises UnsupportedError for an operator it does not cover."""

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._nodes = list(model.graph)
        missing = sorted({n.op_type for n in self._nodes if n.domain or n.op_type not in OPERATORS})
        if missing:
            raise UnsupportedError(f"operator {', '.join(missing)} is not covered; add it to fiqa_export/torch_ops.py")
        self._constants = {v: tensor_of(v) for v in model.graph.initializers.values()}
        self._last_reader = {v: i for i, n in enumerate(self._nodes) for v in n.inputs if v is not None}

    def run(self, feed: Inputs, before: Before, after: After | None = None) -> dict[str, Tensor]:
        """Graph outputs by name for network inputs by name; values are forgotten once nothing reads them any more."""
        inputs = [v for v in self._graph.inputs if not v.is_initializer()]
        values = {v: torch.from_numpy(np.ascontiguousarray(feed[str(v.name)])) for v in inputs}
        for index, node in enumerate(self._nodes):
            arguments = [None if v is None else self._constants.get(v, values.get(v)) for v in node.inputs]
            before(node, arguments)
            results = OPERATORS[node.op_type](node, *arguments)
            results = results if isinstance(results, tuple) else (results,)
            if after is not None:
                after(node, arguments, results[0])
            values.update(zip(node.outputs, results, strict=False))
            for value in node.inputs:
                if value in values and self._last_reader[value] == index and not value.is_graph_output():
                    del values[value]
        return {str(v.name): values[v] for v in self._graph.outputs}


def tensor_of(value: ir.Value) -> Tensor:
    """A constant of the graph, in the memory (or file) that holds it."""
    assert value.const_value is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # read-only memory: constants are never written to
        return torch.from_numpy(np.asarray(value.const_value.numpy(), order="C"))

"""Decides which nodes of an fp32 graph have to stay in fp32 when the rest becomes fp16, and says why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import onnx_ir as ir
from fiqa_runtime.errors import InputError
from numpy.typing import NDArray

from fiqa_export.graph.loading import MATRIX_OPS, activations, is_float

MAX = 65504.0
"""Largest fp16 number."""
LARGEST = MAX / 4
"""Largest measured magnitude of a tensor that goes to fp16: other images may be four times as extreme."""
SMALLEST = 2.0**-12
"""A tensor whose largest magnitude is below this stays in fp32: most of its values lie where fp16 has few digits."""
WEIGHT_LOSS = 1e-3
"""Largest relative rounding error (in L2 norm) that a weight may have; rounding without underflow costs 2e-4."""
HEAD_WEIGHTS = 2**16
"""Linear layers of at most this many weights that write an output stay in fp32, where they cost almost nothing."""
MANY = 64
"""An average pool over at least this many values counts as a sum over many values."""

MOVES = frozenset(
    {
        "Concat",
        "DepthToSpace",
        "Expand",
        "Flatten",
        "Gather",
        "Identity",
        "Pad",
        "Reshape",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    }
)
POINTWISE = frozenset(
    {
        "Abs",
        "Add",
        "Clip",
        "Div",
        "Elu",
        "Exp",
        "Gelu",
        "HardSigmoid",
        "HardSwish",
        "LeakyRelu",
        "Log",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "PRelu",
        "Pow",
        "Reciprocal",
        "Relu",
        "Sigmoid",
        "Softplus",
        "Sqrt",
        "Sub",
        "Sum",
        "Tanh",
        "Where",
    }
)
LIGHT = MOVES | POINTWISE
SUMS = frozenset(
    {
        "CumSum",
        "GlobalAveragePool",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMean",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
    }
)
NORMS = frozenset(
    {
        "GroupNormalization",
        "InstanceNormalization",
        "LayerNormalization",
        "LpNormalization",
        "MeanVarianceNormalization",
        "RMSNormalization",
    }
)
PERIODIC = frozenset({"Cos", "Sin", "Tan"})
# fmt: on

_LOSES = {
    **dict.fromkeys(("Softmax", "LogSoftmax"), "exponentials and their sum over a row"),
    **dict.fromkeys(NORMS, "variance of many values"),
    **dict.fromkeys(SUMS, "sum over many values"),
    **dict.fromkeys(PERIODIC, "fp16 arguments lose the phase"),
}


def nodes_to_keep(graph: ir.Graph, ranges: Mapping[str, float]) -> dict[str, str]:
    """Names of the nodes that stay in fp32 with the reason of each, in the order of the graph.

    `ranges` is the largest magnitude of every float activation by name. Raises InputError where one is missing.
    """
    missing = [value.name for value in activations(graph) if is_float(value) and value.name not in ranges]
    if missing:
        raise InputError(f"no range was measured for {missing[0]}; measure the ranges of the very file to be converted")
    kept: dict[str, str] = {}
    constant = set(graph.initializers.values())
    for node in graph:
        if all(value is None or value in constant for value in node.inputs):
            constant.update(node.outputs)
            reason = None if node.op_type in MOVES else "computed once, from constants"
        else:
            reason = _weights_reason(node) or _range_reason(node, ranges) or _operator_reason(node)
        if reason and any(map(is_float, node.outputs)):
            kept[str(node.name)] = reason
    _keep_upstream(_producers(node for node in graph if node.op_type in PERIODIC), kept, "argument of a sine or cosine")
    _keep_upstream((value.producer() for value in graph.outputs), kept, "writes an output")
    while _keep_between(graph, kept, constant):
        pass
    return {str(node.name): kept[str(node.name)] for node in graph if node.name in kept}


def _weights_reason(node: ir.Node) -> str | None:
    for value in node.inputs:
        if value is None or value.const_value is None or value.dtype != ir.DataType.FLOAT:
            continue
        weights = value.const_value.numpy()
        largest = np.abs(weights).max(initial=0.0)
        if not largest <= MAX:
            return f"{value.name} holds {largest:.3g}, fp16 ends at {MAX:.0f}"
        if node.op_type in MATRIX_OPS and weights.ndim > 1:
            loss = _rounding_loss(weights)
            if loss > WEIGHT_LOSS:
                return f"{value.name} loses {loss:.1%} to underflow"
    return None


def _rounding_loss(weights: NDArray[np.float32]) -> float:
    norm = np.linalg.norm(weights)
    return float(np.linalg.norm(weights - weights.astype(np.float16)) / norm) if norm else 0.0


def _range_reason(node: ir.Node, ranges: Mapping[str, float]) -> str | None:
    for value in (*node.inputs, *node.outputs):
        if value is None or value.name not in ranges:
            continue
        largest = ranges[str(value.name)]
        if not largest <= LARGEST:
            return f"{value.name} reaches {largest:.3g}, fp16 ends at {MAX:.0f}"
        if 0 < largest < SMALLEST:
            return f"{value.name} stays below {largest:.3g}, where fp16 has few digits"
    return None


def _operator_reason(node: ir.Node) -> str | None:
    if node.op_type == "AveragePool" and math.prod(node.attributes["kernel_shape"].as_ints()) >= MANY:
        return "sum over many values"
    return _LOSES.get(node.op_type)


def _keep_upstream(nodes: Iterable[ir.Node | None], kept: dict[str, str], reason: str) -> None:
    """Keep `nodes` and the light nodes and sums before them, back to the next matrix products; small ones of these are
    kept too."""
    queue = list(nodes)
    seen: set[ir.Node] = set()
    while queue:
        node = queue.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        goes_on = node.op_type in LIGHT | SUMS
        if goes_on or _is_small_linear(node):
            kept.setdefault(str(node.name), reason)
        if goes_on:
            queue.extend(_producers([node]))


def _is_small_linear(node: ir.Node) -> bool:
    sizes = [v.const_value.size for v in node.inputs if v is not None and v.const_value is not None]
    return node.op_type in ("Gemm", "MatMul") and 0 < sum(sizes) <= HEAD_WEIGHTS


def _keep_between(graph: ir.Graph, kept: dict[str, str], constant: set[ir.Value]) -> bool:
    """Keep light nodes between kept nodes, where a cast to fp16 and back would only lose digits. Returns whether any
    was found."""
    found = False
    for node in graph:
        if node.name in kept or node.op_type not in LIGHT or not any(map(is_float, node.outputs)):
            continue
        sources = {value for value in node.inputs if value is not None and is_float(value) and value not in constant}
        readers_kept = [reader.name in kept for value in node.outputs for reader, _ in value.uses()]
        if not sources:
            stays = any(readers_kept)
        else:
            fewer_casts = len(sources) > len(node.outputs)
            stays = all(_is_fp32(value, kept) for value in sources) and (fewer_casts or all(readers_kept))
        if stays:
            kept[str(node.name)] = "between nodes in fp32" if sources else "brings weights to nodes in fp32"
            found = True
    return found


def _is_fp32(value: ir.Value, kept: Mapping[str, str]) -> bool:
    producer = value.producer()
    return producer is None or producer.name in kept


def _producers(nodes: Iterable[ir.Node]) -> Iterator[ir.Node | None]:
    return (value.producer() for node in nodes for value in node.inputs if value is not None and is_float(value))

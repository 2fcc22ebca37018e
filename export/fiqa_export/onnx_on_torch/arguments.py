"""What the operators share: how they read a node's attributes, and how they refuse what they do not cover."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import torch
from fiqa_runtime.errors import UnsupportedError
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

Operator = Callable[..., "Tensor | tuple[Tensor, ...]"]
"""Called with the node and its inputs in order (None for an absent optional one)."""

DTYPES = {
    ir.DataType.FLOAT: torch.float32,
    ir.DataType.FLOAT16: torch.float16,
    ir.DataType.INT64: torch.int64,
    ir.DataType.INT32: torch.int32,
    ir.DataType.INT8: torch.int8,
    ir.DataType.UINT8: torch.uint8,
    ir.DataType.BOOL: torch.bool,
}
"""The torch type of each ONNX type that the exported graphs have."""


def require(node: ir.Node, ok: bool, what: str) -> None:
    """Raise UnsupportedError unless `ok`; `what` names the option of `node` that is not covered."""
    if not ok:
        raise UnsupportedError(
            f"{node.op_type} node {node.name} with {what} is not covered; add it to onnx_on_torch/operators.py"
        )


def ints(node: ir.Node, name: str, default: int, length: int) -> list[int]:
    """The attribute `name` of `node` as a list; `length` times `default` where the node does not have it."""
    return list(node.attributes.get_ints(name, [default] * length))


def window_pads(node: ir.Node, x: Tensor, kernel: list[int], strides: list[int], dilations: list[int]) -> list[int]:
    """What `node` pads, before each axis and then after each, whether it says so in numbers or by ``auto_pad``."""
    way, dims = node.attributes.get_string("auto_pad", "NOTSET"), len(kernel)
    if way == "NOTSET":
        return ints(node, "pads", 0, 2 * dims)
    if way == "VALID":
        return [0] * (2 * dims)
    sums = [
        max((-(-side // stride) - 1) * stride + (size - 1) * dilation + 1 - side, 0)
        for side, size, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True)
    ]
    less, more = [each // 2 for each in sums], [each - each // 2 for each in sums]
    return less + more if way == "SAME_UPPER" else more + less


def to_list(tensor: Tensor | None) -> list[int]:
    """The numbers of an integer tensor in order; an empty list for an absent optional input."""
    return [] if tensor is None else [int(v) for v in tensor.flatten().tolist()]


def pad(x: Tensor, pads: list[int], value: float) -> Tensor:
    """`x` with `value` around it; `pads` are in ONNX's order: what comes before each axis, then what comes after
    each."""
    half = len(pads) // 2
    pairs = [pads[axis + side * half] for axis in reversed(range(half)) for side in (0, 1)]
    return F.pad(x, pairs, value=value) if any(pairs) else x

"""ONNX operators on torch tensors: one small function each, which computes in the type of its tensors.

Here are those over whole axes (products, normalisations, reductions, quantisation) and the table of all; the others
stand in files of their own: elementwise, windows, moving.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from fiqa_export.onnx_on_torch.arguments import DTYPES, Operator, ints, require, to_list
from fiqa_export.onnx_on_torch.elementwise_operators import ELEMENTWISE_OPERATORS
from fiqa_export.onnx_on_torch.moving_operators import MOVING_OPERATORS
from fiqa_export.onnx_on_torch.window_operators import WINDOW_OPERATORS


def _gemm(node: ir.Node, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    a = a.T if node.attributes.get_int("transA", 0) else a
    b = b.T if node.attributes.get_int("transB", 0) else b
    y = node.attributes.get_float("alpha", 1.0) * (a @ b)
    return y if c is None else y + node.attributes.get_float("beta", 1.0) * c


def _batch_norm(node: ir.Node, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return F.batch_norm(x, mean, variance, scale, bias, eps=node.attributes.get_float("epsilon", 1e-5))


def _instance_norm(node: ir.Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, weight=scale, bias=bias, eps=node.attributes.get_float("epsilon", 1e-5))


def _layer_norm(node: ir.Node, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor:
    axis = node.attributes.get_int("axis", -1) % x.ndim
    return F.layer_norm(x, x.shape[axis:], scale, bias, node.attributes.get_float("epsilon", 1e-5))


def _group_norm(node: ir.Node, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    groups = node.attributes["num_groups"].as_int()
    if scale.numel() != x.shape[1]:  # opsets 18 to 20 have one number per group, later ones one per channel
        scale, bias = (each.repeat_interleave(x.shape[1] // groups) for each in (scale, bias))
    return F.group_norm(x, groups, scale, bias, node.attributes.get_float("epsilon", 1e-5))


def _lp_norm(node: ir.Node, x: Tensor) -> Tensor:
    axis, order = node.attributes.get_int("axis", -1), node.attributes.get_int("p", 2)
    length: Tensor = torch.linalg.vector_norm(x, ord=order, dim=axis, keepdim=True)
    return x / length


def _arg_max(node: ir.Node, x: Tensor) -> Tensor:
    require(node, not node.attributes.get_int("select_last_index", 0), "select_last_index")
    return x.argmax(node.attributes.get_int("axis", 0), bool(node.attributes.get_int("keepdims", 1)))


def _cumulative_sum(node: ir.Node, x: Tensor, axis: Tensor) -> Tensor:
    options = node.attributes.get_int("exclusive", 0), node.attributes.get_int("reverse", 0)
    require(node, options == (0, 0), "exclusive or reverse")
    return x.cumsum(int(axis))


def _reduce(function: Callable[..., Tensor]) -> Operator:
    def reduce(node: ir.Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
        chosen, keep = to_list(axes) or ints(node, "axes", 0, 0), node.attributes.get_int("keepdims", 1)
        nothing_is_all = node.attributes.get_int("noop_with_empty_axes", 0) == 0
        return function(x, chosen or list(range(x.ndim)), bool(keep)) if chosen or nothing_is_all else x

    return reduce


def _cast(node: ir.Node, x: Tensor) -> Tensor:
    kind = ir.DataType(node.attributes["to"].as_int())
    require(node, kind in DTYPES, f"type {kind.name}")
    return x.to(DTYPES[kind])


def _broadcast(parameter: Tensor, x: Tensor, axis: int) -> Tensor:
    """`parameter`, one scale or zero point per slice along `axis`, in a shape that multiplies `x`."""
    if parameter.numel() == 1:
        return parameter.reshape(())
    return parameter.reshape([-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])


def _quantize(node: ir.Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    axis, dtype = node.attributes.get_int("axis", 1), zero.dtype if zero is not None else torch.uint8
    levels = torch.round(x / _broadcast(scale, x, axis))
    if zero is not None:
        levels = levels + _broadcast(zero, x, axis)
    return levels.clamp(torch.iinfo(dtype).min, torch.iinfo(dtype).max).to(dtype)


def _dequantize(node: ir.Node, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    axis, levels = node.attributes.get_int("axis", 1), x.to(scale.dtype)
    if zero is not None:
        levels = levels - _broadcast(zero, x, axis)
    return levels * _broadcast(scale, x, axis)


OPERATORS: dict[str, Operator] = {
    **ELEMENTWISE_OPERATORS,
    **MOVING_OPERATORS,
    **WINDOW_OPERATORS,
    "ArgMax": _arg_max,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "CumSum": _cumulative_sum,
    "DequantizeLinear": _dequantize,
    "Einsum": lambda node, *inputs: torch.einsum(node.attributes["equation"].as_string(), *inputs),
    "Gemm": _gemm,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LogSoftmax": lambda node, x: x.log_softmax(node.attributes.get_int("axis", -1)),
    "LpNormalization": _lp_norm,
    "QuantizeLinear": _quantize,
    "ReduceL1": _reduce(lambda x, axes, keep: torch.linalg.vector_norm(x, ord=1, dim=axes, keepdim=keep)),
    "ReduceL2": _reduce(lambda x, axes, keep: torch.linalg.vector_norm(x, dim=axes, keepdim=keep)),
    "ReduceLogSumExp": _reduce(torch.logsumexp),
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceMin": _reduce(torch.amin),
    "ReduceSum": _reduce(torch.sum),
    "ReduceSumSquare": _reduce(lambda x, axes, keep: (x * x).sum(axes, keep)),
    "Softmax": lambda node, x: x.softmax(node.attributes.get_int("axis", -1)),
}
"""Every operator that is covered, by ONNX name (default domain)."""

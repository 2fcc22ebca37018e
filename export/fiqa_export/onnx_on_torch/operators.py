"""ONNX operators on torch tensors: one small function each, which computes in the type of its tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from fiqa_export.onnx_on_torch.arguments import DTYPES, Operator, ints, pad, require, to_list
from fiqa_export.onnx_on_torch.moving_operators import MOVING_OPERATORS


def _of_inputs_alone(function: Callable[..., Tensor]) -> Operator:
    return lambda node, *inputs: function(*inputs)


def _conv(node: ir.Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    dims = weight.ndim - 2
    require(node, node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET", "auto_pad")
    function: Callable[..., Tensor] = {1: F.conv1d, 2: F.conv2d}[dims]
    pads, strides = ints(node, "pads", 0, 2 * dims), ints(node, "strides", 1, dims)
    dilations, groups = ints(node, "dilations", 1, dims), node.attributes.get_int("group", 1)
    if pads[:dims] == pads[dims:]:
        return function(x, weight, bias, strides, pads[:dims], dilations, groups)
    return function(pad(x, pads, 0.0), weight, bias, strides, 0, dilations, groups)


def _pool(node: ir.Node, x: Tensor) -> Tensor:
    kernel = list(node.attributes["kernel_shape"].as_ints())
    pads, strides = ints(node, "pads", 0, 4), ints(node, "strides", 1, 2)
    up = bool(node.attributes.get_int("ceil_mode", 0))
    plain = ints(node, "dilations", 1, 2) == [1, 1]
    require(
        node, plain and len(kernel) == 2 and node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET", "options"
    )
    require(node, not (up and any(pads)), "padding and sizes rounded up")
    if node.op_type == "MaxPool":
        return F.max_pool2d(pad(x, pads, -torch.inf), kernel, strides, ceil_mode=up)
    require(node, not any(pads) and not up, "padding, or sizes rounded up,")
    return F.avg_pool2d(x, kernel, strides)


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


def _reduce(function: Callable[..., Tensor]) -> Operator:
    def reduce(node: ir.Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
        chosen, keep = to_list(axes) or ints(node, "axes", 0, 0), node.attributes.get_int("keepdims", 1)
        nothing_is_all = node.attributes.get_int("noop_with_empty_axes", 0) == 0
        return function(x, chosen or list(range(x.ndim)), bool(keep)) if chosen or nothing_is_all else x

    return reduce


def _resize(
    node: ir.Node, x: Tensor, roi: Tensor | None, scales: Tensor | None = None, sizes: Tensor | None = None
) -> Tensor:
    exact = [side * scale for side, scale in zip(x.shape, scales.tolist(), strict=True)] if scales is not None else []
    require(node, all(float(side).is_integer() for side in exact), "a fraction of a pixel")
    size = to_list(sizes) or [int(side) for side in exact]
    mode = node.attributes.get_string("mode", "nearest")
    grid = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    rounding = node.attributes.get_string("nearest_mode", "round_prefer_floor")
    require(node, x.ndim == 4 and size[:2] == list(x.shape[:2]), "other axes than rows and columns")
    if mode == "nearest":
        require(node, (grid, rounding) == ("asymmetric", "floor"), f"{grid} {rounding}")
        return F.interpolate(x, size=size[2:], mode="nearest")
    require(node, (mode, grid) == ("linear", "half_pixel") and not node.attributes.get_int("antialias", 0), mode)
    return F.interpolate(x, size=size[2:], mode="bilinear", align_corners=False)


def _div(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, slope * x, x)


def _softmax(node: ir.Node, x: Tensor) -> Tensor:
    return x.softmax(node.attributes.get_int("axis", -1))


def _cast(node: ir.Node, x: Tensor) -> Tensor:
    kind = ir.DataType(node.attributes["to"].as_int())
    require(node, kind in DTYPES, f"type {kind.name}")
    return x.to(DTYPES[kind])


def _gelu(node: ir.Node, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=node.attributes.get_string("approximate", "none"))


def _clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return x.clamp(low, high)


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


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "Abs": torch.abs,
    "Add": torch.add,
    "Clip": _clip,
    "Cos": torch.cos,
    "Div": _div,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Identity": lambda x: x,
    "MatMul": torch.matmul,
    "Mul": torch.mul,
    "Neg": torch.neg,
    "Pow": torch.pow,
    "PRelu": _prelu,
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Sin": torch.sin,
    "Sqrt": torch.sqrt,
    "Sub": torch.sub,
    "Tanh": torch.tanh,
}

OPERATORS: dict[str, Operator] = {
    **{name: _of_inputs_alone(function) for name, function in _FUNCTIONS.items()},
    **MOVING_OPERATORS,
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Conv": _conv,
    "DequantizeLinear": _dequantize,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda node, x: x.mean(list(range(2, x.ndim)), keepdim=True),
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda node, x: F.leaky_relu(x, node.attributes.get_float("alpha", 0.01)),
    "MaxPool": _pool,
    "QuantizeLinear": _quantize,
    "ReduceL2": _reduce(lambda x, axes, keep: torch.linalg.vector_norm(x, dim=axes, keepdim=keep)),
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceMin": _reduce(torch.amin),
    "ReduceSum": _reduce(torch.sum),
    "Resize": _resize,
    "Softmax": _softmax,
}
"""Every operator of the exported graphs by ONNX name (default domain)."""

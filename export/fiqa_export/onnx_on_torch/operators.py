"""ONNX operators on torch tensors: one small function each, in the arithmetic of the tensors it is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
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


def _plain(function: Callable[..., Tensor]) -> Operator:
    return lambda node, *inputs: function(*inputs)


def _require(node: ir.Node, ok: bool, what: str) -> None:
    if not ok:
        raise UnsupportedError(
            f"{node.op_type} node {node.name} with {what} is not covered; add it to onnx_on_torch/operators.py"
        )


def _ints(node: ir.Node, name: str, default: int, length: int) -> list[int]:
    return list(node.attributes.get_ints(name, [default] * length))


def _list(tensor: Tensor | None) -> list[int]:
    return [] if tensor is None else [int(v) for v in tensor.flatten().tolist()]


def _pad(x: Tensor, pads: list[int], value: float) -> Tensor:
    """ONNX order (all begins, then all ends) to torch's (last axis first, in pairs)."""
    half = len(pads) // 2
    pairs = [pads[axis + side * half] for axis in reversed(range(half)) for side in (0, 1)]
    return F.pad(x, pairs, value=value) if any(pairs) else x


def _conv(node: ir.Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    dims = weight.ndim - 2
    _require(node, node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET", "auto_pad")
    function: Callable[..., Tensor] = {1: F.conv1d, 2: F.conv2d}[dims]
    pads, strides = _ints(node, "pads", 0, 2 * dims), _ints(node, "strides", 1, dims)
    dilations, groups = _ints(node, "dilations", 1, dims), node.attributes.get_int("group", 1)
    if pads[:dims] == pads[dims:]:
        return function(x, weight, bias, strides, pads[:dims], dilations, groups)
    return function(_pad(x, pads, 0.0), weight, bias, strides, 0, dilations, groups)


def _pool(node: ir.Node, x: Tensor) -> Tensor:
    kernel = list(node.attributes["kernel_shape"].as_ints())
    pads, strides = _ints(node, "pads", 0, 4), _ints(node, "strides", 1, 2)
    plain = not node.attributes.get_int("ceil_mode", 0) and _ints(node, "dilations", 1, 2) == [1, 1]
    _require(
        node, plain and len(kernel) == 2 and node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET", "options"
    )
    if node.op_type == "MaxPool":
        return F.max_pool2d(_pad(x, pads, -torch.inf), kernel, strides)
    _require(node, not any(pads), "padding")
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
        chosen, keep = _list(axes) or _ints(node, "axes", 0, 0), node.attributes.get_int("keepdims", 1)
        nothing_is_all = node.attributes.get_int("noop_with_empty_axes", 0) == 0
        return function(x, chosen or list(range(x.ndim)), bool(keep)) if chosen or nothing_is_all else x

    return reduce


def _resize(
    node: ir.Node, x: Tensor, roi: Tensor | None, scales: Tensor | None = None, sizes: Tensor | None = None
) -> Tensor:
    exact = [side * scale for side, scale in zip(x.shape, scales.tolist(), strict=True)] if scales is not None else []
    _require(node, all(float(side).is_integer() for side in exact), "a fraction of a pixel")
    size = _list(sizes) or [int(side) for side in exact]
    mode = node.attributes.get_string("mode", "nearest")
    grid = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    rounding = node.attributes.get_string("nearest_mode", "round_prefer_floor")
    _require(node, x.ndim == 4 and size[:2] == list(x.shape[:2]), "other axes than rows and columns")
    if mode == "nearest":
        _require(node, (grid, rounding) == ("asymmetric", "floor"), f"{grid} {rounding}")
        return F.interpolate(x, size=size[2:], mode="nearest")
    _require(node, (mode, grid) == ("linear", "half_pixel") and not node.attributes.get_int("antialias", 0), mode)
    return F.interpolate(x, size=size[2:], mode="bilinear", align_corners=False)


def _reshape(node: ir.Node, x: Tensor, shape: Tensor) -> Tensor:
    sizes = _list(shape)
    if not node.attributes.get_int("allowzero", 0):
        sizes = [size or x.shape[axis] for axis, size in enumerate(sizes)]
    return x.reshape(sizes)


def _flatten(node: ir.Node, x: Tensor) -> Tensor:
    axis = node.attributes.get_int("axis", 1)
    return x.reshape(int(torch.tensor(x.shape[:axis]).prod()), -1)


def _transpose(node: ir.Node, x: Tensor) -> Tensor:
    return x.permute(list(node.attributes.get_ints("perm", list(reversed(range(x.ndim))))))


def _slice(
    node: ir.Node, x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None
) -> Tensor:
    first, last = _list(starts), _list(ends)
    chosen, stride = _list(axes) or list(range(len(first))), _list(steps) or [1] * len(first)
    _require(node, min(stride) > 0, "a negative step")
    index = [slice(None)] * x.ndim
    for axis, start, end, step in zip(chosen, first, last, stride, strict=True):
        index[axis] = slice(start, end, step)
    return x[tuple(index)]


def _split(node: ir.Node, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = node.attributes.get_int("axis", 0)
    part = -(-x.shape[axis] // len(node.outputs))
    return torch.split(x, _list(sizes) or part, axis)


def _concat(node: ir.Node, *parts: Tensor) -> Tensor:
    return torch.cat(parts, node.attributes["axis"].as_int())


def _onnx_pad(
    node: ir.Node, x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None
) -> Tensor:
    _require(node, node.attributes.get_string("mode", "constant") == "constant", "another mode than constant")
    chosen = [axis % x.ndim for axis in _list(axes)] or list(range(x.ndim))
    full = [0] * (2 * x.ndim)
    for position, axis in enumerate(chosen):
        full[axis], full[axis + x.ndim] = int(pads[position]), int(pads[position + len(chosen)])
    return _pad(x, full, float(value) if value is not None else 0.0)


def _gather(node: ir.Node, x: Tensor, indices: Tensor) -> Tensor:
    axis = node.attributes.get_int("axis", 0) % x.ndim
    flat = (indices.flatten().long() + x.shape[axis]) % x.shape[axis]
    return x.index_select(axis, flat).reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _expand(node: ir.Node, x: Tensor, shape: Tensor) -> Tensor:
    return torch.broadcast_to(x, np.broadcast_shapes(tuple(x.shape), tuple(_list(shape))))


def _squeeze(node: ir.Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.squeeze(tuple(_list(axes)) or tuple(i for i, size in enumerate(x.shape) if size == 1))


def _unsqueeze(node: ir.Node, x: Tensor, axes: Tensor) -> Tensor:
    rank = x.ndim + axes.numel()
    for axis in sorted(axis % rank for axis in _list(axes)):
        x = x.unsqueeze(axis)
    return x


def _shape(node: ir.Node, x: Tensor) -> Tensor:
    start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", x.ndim)
    return torch.tensor(x.shape[start:end], dtype=torch.int64)


def _depth_to_space(node: ir.Node, x: Tensor) -> Tensor:
    _require(node, node.attributes.get_string("mode", "DCR") == "CRD", "mode DCR")
    return F.pixel_shuffle(x, node.attributes["blocksize"].as_int())


def _div(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _prelu(x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x < 0, slope * x, x)


def _softmax(node: ir.Node, x: Tensor) -> Tensor:
    return x.softmax(node.attributes.get_int("axis", -1))


def _cast(node: ir.Node, x: Tensor) -> Tensor:
    kind = ir.DataType(node.attributes["to"].as_int())
    _require(node, kind in DTYPES, f"type {kind.name}")
    return x.to(DTYPES[kind])


def _gelu(node: ir.Node, x: Tensor) -> Tensor:
    return F.gelu(x, approximate=node.attributes.get_string("approximate", "none"))


def _clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return x.clamp(low, high)


def _broadcast(parameter: Tensor, x: Tensor, axis: int) -> Tensor:
    """A scale or zero point per slice of `axis`, shaped to multiply `x`."""
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


_PLAIN: dict[str, Callable[..., Any]] = {
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
    **{name: _plain(function) for name, function in _PLAIN.items()},
    "AveragePool": _pool,
    "BatchNormalization": _batch_norm,
    "Cast": _cast,
    "Concat": _concat,
    "Conv": _conv,
    "DepthToSpace": _depth_to_space,
    "DequantizeLinear": _dequantize,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Gelu": _gelu,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda node, x: x.mean(list(range(2, x.ndim)), keepdim=True),
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda node, x: F.leaky_relu(x, node.attributes.get_float("alpha", 0.01)),
    "MaxPool": _pool,
    "Pad": _onnx_pad,
    "QuantizeLinear": _quantize,
    "ReduceL2": _reduce(lambda x, axes, keep: torch.linalg.vector_norm(x, dim=axes, keepdim=keep)),
    "ReduceMax": _reduce(torch.amax),
    "ReduceMean": _reduce(torch.mean),
    "ReduceMin": _reduce(torch.amin),
    "ReduceSum": _reduce(torch.sum),
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": _shape,
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""Every operator of the exported graphs by ONNX name (default domain)."""

"""ONNX operators that slide a window over rows and columns, or sample them: convolutions, pooling, resize."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from fiqa_export.onnx_on_torch.arguments import Operator, ints, pad, require, to_list, window_pads


def _conv(node: ir.Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    dims = weight.ndim - 2
    function: Callable[..., Tensor] = {1: F.conv1d, 2: F.conv2d}[dims]
    strides, dilations = ints(node, "strides", 1, dims), ints(node, "dilations", 1, dims)
    pads, groups = window_pads(node, x, list(weight.shape[2:]), strides, dilations), node.attributes.get_int("group", 1)
    if pads[:dims] == pads[dims:]:
        return function(x, weight, bias, strides, pads[:dims], dilations, groups)
    return function(pad(x, pads, 0.0), weight, bias, strides, 0, dilations, groups)


def _conv_transpose(node: ir.Node, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    pads, extra = ints(node, "pads", 0, 4), ints(node, "output_padding", 0, 2)
    plain = node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET" and "output_shape" not in node.attributes
    require(node, weight.ndim == 4 and plain and pads[:2] == pads[2:], "one-dimensional or uneven padding")
    strides, dilations = ints(node, "strides", 1, 2), ints(node, "dilations", 1, 2)
    return F.conv_transpose2d(x, weight, bias, strides, pads[:2], extra, node.attributes.get_int("group", 1), dilations)


def _pool(node: ir.Node, x: Tensor) -> Tensor:
    kernel = list(node.attributes["kernel_shape"].as_ints())
    require(node, len(kernel) == 2, f"{len(kernel)} dimensions")
    strides, dilations = ints(node, "strides", 1, 2), ints(node, "dilations", 1, 2)
    pads, up = window_pads(node, x, kernel, strides, dilations), bool(node.attributes.get_int("ceil_mode", 0))
    require(node, not (up and any(pads)), "padding and sizes rounded up")
    if node.op_type == "MaxPool":
        return F.max_pool2d(pad(x, pads, -torch.inf), kernel, strides, dilation=dilations, ceil_mode=up)
    require(node, dilations == [1, 1] and not up, "dilations, or sizes rounded up,")
    means = F.avg_pool2d(pad(x, pads, 0.0), kernel, strides)
    if not any(pads) or node.attributes.get_int("count_include_pad", 0) == 1:
        return means
    return means / F.avg_pool2d(pad(torch.ones_like(x[:1, :1]), pads, 0.0), kernel, strides)


def _resize(
    node: ir.Node, x: Tensor, roi: Tensor | None, scales: Tensor | None = None, sizes: Tensor | None = None
) -> Tensor:
    exact = [side * scale for side, scale in zip(x.shape, scales.tolist(), strict=True)] if scales is not None else []
    require(node, all(float(side).is_integer() for side in exact), "a fraction of a pixel")
    size = to_list(sizes) or [int(side) for side in exact]
    mode = node.attributes.get_string("mode", "nearest")
    grid = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    require(node, x.ndim == 4 and size[:2] == list(x.shape[:2]), "other axes than rows and columns")
    require(node, not node.attributes.get_int("antialias", 0), "antialias")
    if mode == "nearest":
        return _nearest(node, x, size[2:], grid)
    require(node, grid in ("half_pixel", "pytorch_half_pixel", "align_corners"), grid)
    require(node, grid != "pytorch_half_pixel" or min(size[2:]) > 1, "a side of one pixel")
    if mode == "cubic":
        require(node, node.attributes.get_float("cubic_coeff_a", -0.75) == -0.75, "another cubic_coeff_a than -0.75")
        require(node, not node.attributes.get_int("exclude_outside", 0), "exclude_outside")
    way = {"linear": "bilinear", "cubic": "bicubic"}[mode]
    return F.interpolate(x, size=size[2:], mode=way, align_corners=grid == "align_corners")


def _nearest(node: ir.Node, x: Tensor, size: list[int], grid: str) -> Tensor:
    rounding = node.attributes.get_string("nearest_mode", "round_prefer_floor")
    for axis, side in zip((2, 3), size, strict=True):
        places, step = torch.arange(side, dtype=torch.float64), x.shape[axis] / side
        positions = {
            "asymmetric": places * step,
            "half_pixel": (places + 0.5) * step - 0.5,
            "pytorch_half_pixel": (places + 0.5) * step - 0.5 if side > 1 else places * 0,
            "align_corners": places * ((x.shape[axis] - 1) / max(side - 1, 1)),
        }
        require(node, grid in positions, grid)
        rounded: dict[str, Callable[[Tensor], Tensor]] = {
            "floor": torch.floor,
            "ceil": torch.ceil,
            "round_prefer_floor": lambda at: torch.ceil(at - 0.5),
            "round_prefer_ceil": lambda at: torch.floor(at + 0.5),
        }
        chosen = rounded[rounding](positions[grid])
        x = x.index_select(axis, chosen.long().clamp(0, x.shape[axis] - 1))
    return x


WINDOW_OPERATORS: dict[str, Operator] = {
    "AveragePool": _pool,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "GlobalAveragePool": lambda node, x: x.mean(list(range(2, x.ndim)), keepdim=True),
    "GlobalMaxPool": lambda node, x: x.amax(list(range(2, x.ndim)), keepdim=True),
    "MaxPool": _pool,
    "Resize": _resize,
}
"""These operators by ONNX name."""

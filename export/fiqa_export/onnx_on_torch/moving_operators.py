"""ONNX operators that move values without computing any: reshape, slice, concatenate, pad and the like."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from fiqa_export.onnx_on_torch.arguments import Operator, pad, require, to_list


def _reshape(node: ir.Node, x: Tensor, shape: Tensor) -> Tensor:
    sizes = to_list(shape)
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
    first, last = to_list(starts), to_list(ends)
    chosen, stride = to_list(axes) or list(range(len(first))), to_list(steps) or [1] * len(first)
    require(node, min(stride) > 0, "a negative step")
    index = [slice(None)] * x.ndim
    for axis, start, end, step in zip(chosen, first, last, stride, strict=True):
        index[axis] = slice(start, end, step)
    return x[tuple(index)]


def _split(node: ir.Node, x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
    axis = node.attributes.get_int("axis", 0)
    part = -(-x.shape[axis] // len(node.outputs))
    return torch.split(x, to_list(sizes) or part, axis)


def _concat(node: ir.Node, *parts: Tensor) -> Tensor:
    return torch.cat(parts, node.attributes["axis"].as_int())


def _onnx_pad(
    node: ir.Node, x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None
) -> Tensor:
    require(node, node.attributes.get_string("mode", "constant") == "constant", "another mode than constant")
    chosen = [axis % x.ndim for axis in to_list(axes)] or list(range(x.ndim))
    full = [0] * (2 * x.ndim)
    for position, axis in enumerate(chosen):
        full[axis], full[axis + x.ndim] = int(pads[position]), int(pads[position + len(chosen)])
    return pad(x, full, float(value) if value is not None else 0.0)


def _gather(node: ir.Node, x: Tensor, indices: Tensor) -> Tensor:
    axis = node.attributes.get_int("axis", 0) % x.ndim
    flat = (indices.flatten().long() + x.shape[axis]) % x.shape[axis]
    return x.index_select(axis, flat).reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _expand(node: ir.Node, x: Tensor, shape: Tensor) -> Tensor:
    return torch.broadcast_to(x, np.broadcast_shapes(tuple(x.shape), tuple(to_list(shape))))


def _squeeze(node: ir.Node, x: Tensor, axes: Tensor | None = None) -> Tensor:
    return x.squeeze(tuple(to_list(axes)) or tuple(i for i, size in enumerate(x.shape) if size == 1))


def _unsqueeze(node: ir.Node, x: Tensor, axes: Tensor) -> Tensor:
    rank = x.ndim + axes.numel()
    for axis in sorted(axis % rank for axis in to_list(axes)):
        x = x.unsqueeze(axis)
    return x


def _shape(node: ir.Node, x: Tensor) -> Tensor:
    start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", x.ndim)
    return torch.tensor(x.shape[start:end], dtype=torch.int64)


def _depth_to_space(node: ir.Node, x: Tensor) -> Tensor:
    block = node.attributes["blocksize"].as_int()
    if node.attributes.get_string("mode", "DCR") == "CRD":
        return F.pixel_shuffle(x, block)
    n, channels, height, width = x.shape
    parts = x.reshape(n, block, block, channels // block**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return parts.reshape(n, channels // block**2, height * block, width * block)


def _space_to_depth(node: ir.Node, x: Tensor) -> Tensor:
    block = node.attributes["blocksize"].as_int()
    n, channels, height, width = x.shape
    parts = x.reshape(n, channels, height // block, block, width // block, block).permute(0, 3, 5, 1, 2, 4)
    return parts.reshape(n, channels * block**2, height // block, width // block)


def _constant_of_shape(node: ir.Node, shape: Tensor) -> Tensor:
    value = node.attributes["value"].as_tensor().numpy() if "value" in node.attributes else np.zeros(1, np.float32)
    return torch.from_numpy(np.array(value)).expand(to_list(shape)).clone()


def _top_k(node: ir.Node, x: Tensor, count: Tensor) -> tuple[Tensor, ...]:
    axis, largest = node.attributes.get_int("axis", -1), bool(node.attributes.get_int("largest", 1))
    return tuple(torch.topk(x, int(count), axis, largest))


MOVING_OPERATORS: dict[str, Operator] = {
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": lambda node, x, i: x.gather(node.attributes.get_int("axis", 0), i),
    "Pad": _onnx_pad,
    "Range": lambda node, start, end, step: torch.arange(start.item(), end.item(), step.item(), dtype=start.dtype),
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": lambda node, x, repeats: x.repeat(to_list(repeats)),
    "TopK": _top_k,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
"""These operators by ONNX name."""

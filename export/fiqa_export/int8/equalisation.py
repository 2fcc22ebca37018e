"""Equalisation across layers: brings the channels of a tensor to one magnitude, so that one int8 scale fits them all.

The channels of a tensor are divided by factors. Layers that write the tensor divide their weights by them, layers that
read it multiply theirs by them; so the network computes the same function. Nagel et al., "Data-Free Quantization
Through Weight Equalization and Bias Correction", 2019; Xiao et al., "SmoothQuant", 2023.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from fiqa_export.int8.qdq import channel_axis, is_layer, output_axis, weights_of

Magnitudes = Mapping[str, NDArray[np.float32]]
"""Largest magnitude of every channel (C,) by tensor name, see :func:`fiqa_export.int8.qdq.channel_axis`."""
Factors = NDArray[np.float32]

LARGEST_FACTOR = 2.0**10
"""Largest factor between a channel and the largest channel of its tensor: a channel that is nearly silent stays so."""

ALIKE = 1 / 8
"""A tensor is left as it is if at least half of its channels reach this share of the largest one. Equalising it would
gain nothing, and it costs where a range leaves out the rarest values, because afterwards every channel has some of them
(measured on seeded and on trained weights)."""

_SCALES_ALONG = frozenset(
    ["AveragePool", "GlobalAveragePool", "Identity", "LeakyRelu", "MaxPool", "PRelu", "Relu", "Resize"]
)
_NORMS = frozenset(("BatchNormalization", "InstanceNormalization", "LayerNormalization"))
_IMAGES = frozenset(("BatchNormalization", "Conv", "InstanceNormalization"))
"""Operators that read and write channels along axis 1."""


def equalise(model: ir.Model, magnitudes: Magnitudes) -> list[str]:
    """Equalise, in place, the channels of every tensor named in `magnitudes` whose writers and readers allow it.

    Tensors that must keep one scale (both sides of a sum, before and after an activation) share their factors, which
    come from the largest magnitudes; they stay as they are where their channels are ALIKE. Returns the names of the
    tensors of `magnitudes` that were equalised.
    """
    done = []
    for group in _groups(model.graph):
        names = [str(value.name) for value in group if value.name in magnitudes]
        factors = _factors([magnitudes[name] for name in names]) if names else np.ones(1, np.float32)
        if float(np.median(factors)) < ALIKE:
            _scale(model.graph, group, factors)
            done += names
    return done


def _factors(magnitudes: Sequence[Factors]) -> Factors:
    """Factors for the channels of tensors that are scaled together. They are powers of two, which scale floating point
    exactly."""
    relative = np.max([m / max(float(m.max()), np.finfo(np.float32).tiny) for m in magnitudes], axis=0)
    return np.asarray(np.exp2(np.round(np.log2(np.maximum(relative, 1 / LARGEST_FACTOR)))), np.float32)


def _groups(graph: ir.Graph) -> Iterator[list[ir.Value]]:
    """Groups of tensors that can be scaled together, channel by channel, without changing the network's outputs."""
    parent: dict[ir.Value, ir.Value] = {}
    fixed: set[ir.Value] = {*graph.inputs, *graph.outputs}

    def root(value: ir.Value) -> ir.Value:
        while parent.setdefault(value, value) is not value:
            value = parent[value]
        return value

    for node in graph:
        tensors = [value for value in (*node.inputs, *node.outputs) if value is not None and not _constant(value)]
        if _scales_along(node):
            for value in tensors[1:]:
                parent[root(value)] = root(tensors[0])
        else:
            fixed.update(value for value in tensors if not _can_scale(node, value))
    fixed = {root(value) for value in fixed}
    groups = defaultdict(list)
    for value in list(parent):
        if root(value) not in fixed:
            groups[root(value)].append(value)
    for node in graph:
        for value in node.outputs:
            if value not in parent and value not in fixed:
                groups[value].append(value)
    yield from groups.values()


def _constant(value: ir.Value | None) -> bool:
    return value is not None and value.const_value is not None


def _scales_along(node: ir.Node) -> bool:
    """Whether the output scales as all inputs do that are not constants."""
    if node.op_type == "Add":
        shapes = {tuple(value.shape or ()) for value in node.inputs if value is not None}
        return len(shapes) == 1 and not any(map(_constant, node.inputs))
    if node.op_type in ("Div", "Mul"):
        divisor = node.inputs[1]
        return divisor is not None and divisor.const_value is not None and divisor.const_value.size == 1
    return node.op_type in _SCALES_ALONG


def _can_scale(node: ir.Node, value: ir.Value) -> bool:
    """Whether the constants of `node` can undo a scaling of the channels of `value`, which it reads or writes."""
    writes = value in node.outputs
    if not writes and value is not node.inputs[0]:
        return False
    if any(not _constant(parameter) for parameter in node.inputs[1:] if parameter is not None):
        return False
    if (channel_axis(value) == 1) != (node.op_type in _IMAGES):
        return False
    if node.op_type == "Conv":
        group = node.attributes.get_int("group", 1)
        return group == 1 or writes or weights_of(node).shape[:2] == (group, 1)
    if node.op_type in ("Gemm", "MatMul"):
        return is_layer(node)
    if node.op_type == "LayerNormalization":
        return writes and node.attributes.get_int("axis", -1) == -1
    return node.op_type == "BatchNormalization" or (node.op_type == "InstanceNormalization" and writes)


def _scale(graph: ir.Graph, group: Sequence[ir.Value], factors: Factors) -> None:
    members = set(group)
    for node in [node for node in graph if not _scales_along(node)]:
        if node.inputs and node.inputs[0] in members:
            _multiply(graph, node, 1, factors, _axis_read(node))
            if node.op_type == "BatchNormalization":
                _multiply(graph, node, 3, 1 / factors, 0)
        if node.outputs[0] in members:
            _multiply(graph, node, 1, 1 / factors, _axis_written(node))
            if len(node.inputs) > 2 and node.inputs[2] is not None:
                _multiply(graph, node, 2, 1 / factors, -1)


def _axis_read(node: ir.Node) -> int:
    """Axis of a layer's weights that runs over the channels that it reads; a depth-wise kernel has only one per
    channel."""
    if node.op_type == "Conv":
        return 0 if node.attributes.get_int("group", 1) > 1 else 1
    return 1 if node.attributes.get_int("transB", 0) else 0


def _axis_written(node: ir.Node) -> int:
    return 0 if node.op_type in _NORMS else output_axis(node)


def _multiply(graph: ir.Graph, node: ir.Node, index: int, factors: NDArray[np.floating], axis: int) -> None:
    """Multiply the constants at input `index` of `node` by `factors` along `axis`; other nodes that read them keep the
    old ones."""
    old = node.inputs[index]
    assert old is not None and old.const_value is not None
    values = old.const_value.numpy()
    shape = [1] * values.ndim
    shape[axis] = -1
    scaled = ir.tensor(np.asarray(values * factors.reshape(shape), np.float32), name=old.name)
    if len(old.uses()) == 1:
        old.const_value = scaled
        return
    own = ir.Value(name=f"{old.name}_of_{node.name}", shape=old.shape, type=old.type, const_value=scaled)
    graph.register_initializer(own)
    node.replace_input_with(index, own)

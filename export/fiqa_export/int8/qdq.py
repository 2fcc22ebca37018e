"""Inserts QuantizeLinear and DequantizeLinear into an ONNX graph, and says which nodes can compute in int8.

A node computes in int8 where every value that it reads comes out of a DequantizeLinear. Activations are symmetric with
one scale per tensor, weights are stored as int8 with one scale per output channel, biases stay in float. Outputs are
not quantised: the next node that reads them in int8 does that, after activations and norms, so that runtimes can fuse
those.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from fiqa_calibration.histogram import LEVELS
from fiqa_runtime.errors import InputError
from numpy.typing import NDArray

from fiqa_export.graph.loading import MATRIX_OPS, is_float

FUSED = frozenset(("BatchNormalization", "Relu"))
"""Operators that runtimes fuse with the residual sum before them."""
Scales = NDArray[np.float32]


@dataclass(frozen=True)
class Fitted:
    """The int8 constants of one layer."""

    levels: NDArray[np.int8]
    """Int8 weights, in the shape of the fp32 weights."""
    scales: Scales
    """Scale per output channel (C,)."""
    shift: Scales | None = None
    """What is added to the bias (C,), where the layer can have one."""


def candidates(graph: ir.Graph) -> list[ir.Node]:
    """Nodes that can compute in int8, in order: layers with constant weights, and sums that close a residual block.

    Such a sum has one input that a layer writes for it alone, and a node that computes in int8 reads its result.
    Runtimes fuse it with that layer if they get the other input in int8.
    """
    layers = [node for node in graph if is_layer(node)]
    int8 = {*layers}
    for node in reversed(graph):
        readers = {reader for value in node.outputs for reader, _ in value.uses()}
        readers |= {r for fused in readers if fused.op_type in FUSED for r, _ in fused.outputs[0].uses()}
        if node.op_type == "Add" and _fused_input(node) is not None and readers & int8:
            int8.add(node)
    return [node for node in graph if node in int8]


def is_layer(node: ir.Node) -> bool:
    """Whether `node` multiplies an activation by constant weights: a convolution, or a plain matrix product."""
    if node.op_type not in MATRIX_OPS - {"ConvTranspose"} or not is_float(node.outputs[0]):
        return False
    activation, weights, *bias = node.inputs
    if activation is None or activation.const_value is not None or weights is None or weights.const_value is None:
        return False
    if any(value is not None and value.const_value is None for value in bias):
        return False
    if node.op_type == "Conv":
        return True
    plain = node.attributes.get_float("alpha", 1.0) == node.attributes.get_float("beta", 1.0) == 1.0
    return len(weights.const_value.shape) == 2 and plain and not node.attributes.get_int("transA", 0)


def _fused_input(node: ir.Node) -> ir.Value | None:
    """The first input of a sum that a convolution writes for it alone; None where there is no such input."""
    if any(value is None or value.const_value is not None for value in node.inputs):
        return None
    for value in node.inputs:
        producer = value.producer() if value is not None else None
        if value is not None and producer is not None and producer.op_type == "Conv" and len(value.uses()) == 1:
            return value
    return None


def activations_read(node: ir.Node) -> list[ir.Value]:
    """The activations that the candidate `node` reads through QuantizeLinear and DequantizeLinear."""
    if node.op_type != "Add":
        return [value for value in node.inputs[:1] if value is not None]
    return [value for value in dict.fromkeys(node.inputs) if value is not None and value is not _fused_input(node)]


def channel_axis(value: ir.Value) -> int:
    """Axis of the channels of an activation: 1 for images (N, C, H, W), the last axis for what matrix products read."""
    read_along_last = any(node.op_type in ("Gemm", "MatMul") for node, _ in value.uses())
    return 1 if value.shape is not None and len(value.shape) == 4 and not read_along_last else -1


def output_axis(node: ir.Node) -> int:
    """Axis of a layer's weights that runs over its output channels."""
    if node.op_type == "Conv":
        return 0
    return 0 if node.attributes.get_int("transB", 0) else 1


def weights_of(node: ir.Node) -> NDArray[np.float32]:
    """The constant weights of a layer."""
    value = node.inputs[1]
    assert value is not None and value.const_value is not None
    return value.const_value.numpy()


def weight_scales(weights: NDArray[np.float32], axis: int) -> Scales:
    """One scale (C,) per slice along `axis`, so that the largest magnitude of the slice is level 127; 1 / 127 for a
    slice of zeros."""
    others = tuple(i for i in range(weights.ndim) if i != axis)
    largest = np.abs(weights).max(axis=others)
    return np.asarray(np.where(largest > 0, largest, 1) / LEVELS, np.float32)


def macs(node: ir.Node) -> int:
    """Multiply-accumulates of a layer for one image of nominal size, where unknown sides count as 1; 0 for any other
    node."""
    if not is_layer(node):
        return 0
    weights, sides = weights_of(node), node.outputs[0].shape or ()
    places = sides[2:] if node.op_type == "Conv" else sides[1:-1]
    return int(weights.size * np.prod([side if isinstance(side, int) else 1 for side in places], dtype=np.int64))


def nearest(node: ir.Node) -> Fitted:
    """The weights of a layer rounded to the nearest level."""
    weights, axis = weights_of(node), output_axis(node)
    scales = weight_scales(weights, axis)
    levels = weights / _per_channel(scales, node, weights.ndim)
    np.clip(np.rint(levels, out=levels), -LEVELS, LEVELS, out=levels)
    return Fitted(levels.astype(np.int8), scales)


def dequantised(node: ir.Node, constants: Fitted) -> NDArray[np.float32]:
    """The weights that a layer with these `constants` computes with."""
    return np.asarray(constants.levels * _per_channel(constants.scales, node, constants.levels.ndim), np.float32)


def _per_channel(scales: Scales, node: ir.Node, rank: int) -> Scales:
    """`scales` (C,) in the shape that multiplies the layer's weights of `rank` axes."""
    return scales.reshape([-1 if axis == output_axis(node) else 1 for axis in range(rank)])


def insert_qdq(
    model: ir.Model,
    nodes: Collection[str],
    ranges: Mapping[str, float],
    fitted: Mapping[str, Fitted] | None = None,
    weights_only: Collection[str] = (),
) -> None:
    """Make the candidates named in `nodes` compute in int8, in place; layers in `weights_only` only store int8 weights.

    `ranges` gives, by name of each activation that `nodes` read, the largest magnitude that int8 represents. `fitted`
    gives the constants of layers by name; the weights of other layers are rounded to the nearest level. Raises
    InputError where a range is missing or a node is not a candidate.
    """
    layers = {str(node.name): node for node in candidates(model.graph) if is_layer(node)}
    _known(weights_only, layers)
    quantise_activations(model, nodes, ranges)
    for name, node in layers.items():
        if name in nodes or name in weights_only:
            constants = (fitted or {}).get(name) or nearest(node)
            _store_weights(model.graph, node, constants)
            if constants.shift is not None:
                _shift_bias(model.graph, node, constants.shift)


def quantise_activations(model: ir.Model, nodes: Collection[str], ranges: Mapping[str, float]) -> None:
    """Do what :func:`insert_qdq` does to the activations; the weights stay as they are."""
    every = {str(node.name): node for node in candidates(model.graph)}
    _known(nodes, every)
    chosen = {name: node for name, node in every.items() if name in nodes}
    twins: dict[ir.Value, ir.Value] = {}
    for node in chosen.values():
        for value in activations_read(node):
            if value not in twins:
                twins[value] = _quantised_twin(model.graph, value, ranges)
    for value, twin in twins.items():
        for node in _readers(value, chosen):
            for index in [i for i, read in enumerate(node.inputs) if read is value]:
                node.replace_input_with(index, twin)
        _quantise_parts(model.graph, value)


def _known(names: Collection[str], nodes: Mapping[str, ir.Node]) -> None:
    unknown = set(names) - set(nodes)
    if unknown:
        raise InputError(f"{sorted(unknown)[0]} cannot compute in int8; use names of the fp32 file")


def _readers(value: ir.Value, chosen: Mapping[str, ir.Node]) -> Iterator[ir.Node]:
    """Nodes that read the quantised `value` in its place: the chosen ones and, where a sum is among them, norms too, so
    that `value` itself is not needed."""
    readers = list(dict.fromkeys(node for node, _ in value.uses()))
    quantised = [node for node in readers if node.name in chosen and value in activations_read(node)]
    yield from quantised
    if any(node.op_type == "Add" for node in quantised):
        yield from (node for node in readers if node.op_type == "BatchNormalization")


def _quantised_twin(graph: ir.Graph, value: ir.Value, ranges: Mapping[str, float]) -> ir.Value:
    if value.name not in ranges:
        raise InputError(f"no range was measured for {value.name}; measure the very file that is to be converted")
    scale = _constant(graph, f"{value.name}.s", np.float32((ranges[str(value.name)] or 1) / LEVELS))
    pair = _pair(value, scale, _zeros(graph, ()), str(value.name))
    producer = value.producer()
    if producer is None:
        graph.insert_before(graph[0], pair)
    else:
        graph.insert_after(producer, pair)
    return pair[1].outputs[0]


def _pair(value: ir.Value, scale: ir.Value, zero: ir.Value, name: str) -> list[ir.Node]:
    """QuantizeLinear and DequantizeLinear of `value`."""
    quantise = ir.node("QuantizeLinear", [value, scale, zero], name=f"{name}.q")
    dequantise = ir.node("DequantizeLinear", [quantise.outputs[0], scale, zero], name=f"{name}.dq")
    for node, dtype in ((quantise, ir.DataType.INT8), (dequantise, ir.DataType.FLOAT)):
        output = node.outputs[0]
        output.name, output.dtype, output.shape = node.name, dtype, value.shape
    return [quantise, dequantise]


def _quantise_parts(graph: ir.Graph, value: ir.Value) -> None:
    """Quantise the parts of the concatenation `value` with its scale where it is read in int8 only; int8 is then
    concatenated.

    No value changes, because what is rounded to the levels of a scale already stays as it is.
    """
    concat, uses = value.producer(), list(value.uses())
    if concat is None or concat.op_type != "Concat" or len(uses) != 1 or value.is_graph_output():
        return
    _, scale, zero = uses[0].node.inputs
    assert scale is not None and zero is not None
    for index, part in enumerate(concat.inputs):
        if part is not None and part.const_value is None:
            pair = _pair(part, scale, zero, f"{value.name}.{index}")
            graph.insert_before(concat, pair)
            concat.replace_input_with(index, pair[1].outputs[0])


def _store_weights(graph: ir.Graph, node: ir.Node, constants: Fitted) -> None:
    old, axis = node.inputs[1], output_axis(node)
    assert old is not None
    name = str(old.name) if len(old.uses()) == 1 else f"{old.name}_of_{node.name}"
    if len(old.uses()) == 1:
        del graph.initializers[name]
    levels = _constant(graph, name, constants.levels)
    scale = _constant(graph, f"{name}.s", constants.scales)
    inputs = [levels, scale, _zeros(graph, constants.scales.shape)]
    dequantise = ir.node("DequantizeLinear", inputs, {"axis": axis}, name=f"{name}.dq")
    output = dequantise.outputs[0]
    output.name, output.dtype, output.shape = dequantise.name, ir.DataType.FLOAT, old.shape
    graph.insert_before(node, dequantise)
    node.replace_input_with(1, output)


def _shift_bias(graph: ir.Graph, node: ir.Node, shift: Scales) -> None:
    """Add `shift` to the bias of a convolution or Gemm; a MatMul has no bias."""
    if node.op_type == "MatMul":
        return
    old = node.inputs[2] if len(node.inputs) > 2 else None
    bias = 0 if old is None or old.const_value is None else old.const_value.numpy()
    shifted = _constant(graph, f"{node.name}_bias", np.asarray(bias + shift, np.float32))
    node.resize_inputs(3)
    node.replace_input_with(2, shifted)
    if old is not None and not old.uses():
        del graph.initializers[str(old.name)]


def _zeros(graph: ir.Graph, shape: tuple[int, ...]) -> ir.Value:
    """Zero points of this shape; all nodes that need them share one constant."""
    name = "zero" + "".join(f"_{side}" for side in shape)
    return graph.initializers.get(name) or _constant(graph, name, np.zeros(shape, np.int8))


def _constant(graph: ir.Graph, name: str, array: NDArray[np.generic] | np.generic) -> ir.Value:
    tensor = ir.tensor(np.asarray(array), name=name)
    shape, kind = ir.Shape(np.shape(array)), ir.TensorType(tensor.dtype)
    value = ir.Value(name=name, shape=shape, type=kind, const_value=tensor)
    graph.register_initializer(value)
    return value

"""Graph passes that rewrite convolutions: same results up to rounding, with fewer multiplications or fewer nodes.

New weights are computed in float64 and rounded once. What each pass gains is measured by ``python -m
fiqa_benchmarks.readme_tables.passes``; the table stands in docs/evidence/passes.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx_ir import tape
from onnxscript.rewriter import pattern

Weights = NDArray[np.float64]

SCOPES = "pkg.torch.onnx.name_scopes"
"""Where torch.onnx notes the modules that a node comes from, outermost first, as a Python list."""


def pointwise_on_small_maps(model: ir.Model) -> None:
    """Average before a 1 x 1 convolution and repeat pixels after it instead of the other way round.

    A 1 x 1 convolution treats all pixels alike, so it commutes with averaging and with repeating them. On the smaller
    map it takes a quarter of the multiplications; this saves 3.1 % of all multiplications of IFQA.
    """
    repeat = pattern.RewriteRule(_convolved_repeat, _repeat_convolved, _is_convolved_repeat(1))
    average = pattern.RewriteRule(_averaged_convolution, _convolve_average, _is_averaged_convolution(1))
    pattern.RewriteRuleSet([repeat, average]).apply_to_model(model)


def average_inside_kernel(model: ir.Model) -> None:
    """Replace a 3 x 3 convolution and the 2 x 2 average after it by one 4 x 4 convolution of stride 2.

    The new kernel is the mean of the old one in its four positions. It takes 16 multiplications in place of 36.
    """
    rule = pattern.RewriteRule(_averaged_convolution, _convolve_in_steps, _is_averaged_convolution(3))
    rule.apply_to_model(model)


def convolve_before_repeat(model: ir.Model) -> None:
    """Replace a 3 x 3 convolution of a map that repetition doubled by a 2 x 2 convolution of the small map.

    Three neighbouring rows of the doubled map hold two rows of the small one, so two rows of the kernel add up: others
    for even rows than for odd ones. The same holds for columns. The four kinds of pixels become channels of one
    convolution, which DepthToSpace interleaves, and the ring outside the map is cut off. It takes 4 multiplications in
    place of 9. In IFQA these convolutions were half of all multiplications.
    """
    rule = pattern.RewriteRule(_convolved_repeat, _interleave_convolved, _is_convolved_repeat(3))
    rule.apply_to_model(model)


def join_branches(model: ir.Model) -> None:
    """Replace several pairs of a point-wise and a depth-wise convolution that read the same map by one pair and a
    Split.

    Channels do not mix in a depth-wise convolution, so the weights are simply concatenated. YuNet has four such pairs
    per level.
    """
    branches: dict[Any, list[tuple[ir.Node, ir.Node]]] = defaultdict(list)
    for node in model.graph:
        depthwise = _only_reader(node) if _is_plain(node, 1) and _group(node) == 1 else None
        if depthwise is not None and _is_depthwise(depthwise):
            branches[node.inputs[0], _settings(node), _settings(depthwise)].append((node, depthwise))
    for pairs in branches.values():
        if len(pairs) > 1:
            _join(model.graph, pairs)


def _join(graph: ir.Graph, pairs: Sequence[tuple[ir.Node, ir.Node]]) -> None:
    first, second = pairs[0]
    sizes = np.array([_weights(depthwise).shape[0] for _, depthwise in pairs])
    build = tape.Tape()
    maps = build.op("Conv", [first.inputs[0], *_stacked(build, [p for p, _ in pairs])], first.attributes)
    settings = {**second.attributes, "group": ir.AttrInt64("group", int(sizes.sum()))}
    maps = build.op("Conv", [maps, *_stacked(build, [d for _, d in pairs])], settings)
    split = build.initializer(ir.tensor(sizes, name=f"{second.name}.split"))
    parts = build.op_multi_out("Split", [maps, split], {"axis": 1}, num_outputs=len(pairs))
    for node in build.nodes:
        node.metadata_props[SCOPES] = first.metadata_props.get(SCOPES, "[]")
    for initializer in build.initializers:
        graph.register_initializer(initializer)
    graph.insert_before(first, build.nodes)
    for part, (pointwise, depthwise) in zip(parts, pairs, strict=True):
        part.type, part.shape = depthwise.outputs[0].type, depthwise.outputs[0].shape
        ir.convenience.replace_all_uses_with(depthwise.outputs[0], part)
        graph.remove([depthwise, pointwise], safe=True)


def _stacked(build: tape.Tape, convs: Sequence[ir.Node]) -> list[ir.Value]:
    """The weights and, where `convs` have them, the biases of all `convs`, concatenated."""
    stacked = []
    for parameters in zip(*(conv.inputs[1:] for conv in convs), strict=True):
        array = np.concatenate([p.const_value.numpy() for p in parameters])
        stacked.append(build.initializer(ir.tensor(array, name=f"{parameters[0].name}.joined")))
    return stacked


def _convolved_repeat(op: Any, x: ir.Value, scales: ir.Value, weight: ir.Value) -> Any:
    large = op.Resize(x, None, scales, _allow_other_attributes=True, _outputs=["large"])
    return op.Conv(large, weight, _allow_other_inputs=True, _allow_other_attributes=True, _outputs=["y"])


def _averaged_convolution(op: Any, x: ir.Value, weight: ir.Value) -> Any:
    y = op.Conv(x, weight, _allow_other_inputs=True, _allow_other_attributes=True, _outputs=["y"])
    return op.AveragePool(y, _allow_other_attributes=True, _outputs=["average"])


def _repeat_convolved(op: Any, x: ir.Value, scales: ir.Value, large: ir.Value, y: ir.Value, **_: ir.Value) -> Any:
    small = op.Conv(x, *_node(y).inputs[1:], **_node(y).attributes)
    return op.Resize(small, None, scales, **_node(large).attributes)


def _convolve_average(op: Any, x: ir.Value, y: ir.Value, average: ir.Value, **_: ir.Value) -> Any:
    small = op.AveragePool(x, **_node(average).attributes)
    return op.Conv(small, *_node(y).inputs[1:], **_node(y).attributes)


def _convolve_in_steps(op: Any, x: ir.Value, weight: ir.Value, y: ir.Value, **_: ir.Value) -> Any:
    old = _weights(_node(y))
    kernel = np.zeros((*old.shape[:2], 4, 4))
    for row, column in np.ndindex(2, 2):
        kernel[:, :, row : row + 3, column : column + 3] += old / 4
    settings = {"kernel_shape": [4, 4], "strides": [2, 2], "pads": [1, 1, 1, 1], "group": _group(_node(y))}
    return op.Conv(x, _float(op, kernel, f"{weight.name}.averaged"), *_node(y).inputs[2:], **settings)


def _interleave_convolved(op: Any, x: ir.Value, weight: ir.Value, y: ir.Value, **_: ir.Value) -> Any:
    old, biases = _weights(_node(y)), _node(y).inputs[2:]
    kernel = _row_pairs(_row_pairs(old).swapaxes(3, 4)).transpose(2, 1, 0, 3, 5, 4)
    parameters = [_float(op, kernel.reshape(4 * len(old), -1, 2, 2), f"{weight.name}.doubling")]
    parameters += [_float(op, np.repeat(_array(bias), 4), f"{bias.name}.doubling") for bias in biases if bias]
    settings = {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1], "group": _group(_node(y))}
    ringed = op.DepthToSpace(op.Conv(x, *parameters, **settings), blocksize=2, mode="CRD")
    window = {"starts": [1, 1], "ends": [-1, -1], "axes": [2, 3]}
    return op.Slice(ringed, *(op.initializer(ir.tensor(v), f"{weight.name}.{k}") for k, v in window.items()))


def _row_pairs(kernel: Weights) -> Weights:
    """The kernel (..., 3 rows, columns) as it acts on the small map, for odd and for even rows: (2, ..., 2 rows,
    columns)."""
    first, middle, last = np.moveaxis(kernel, -2, 0)
    odd, even = (first + middle, last), (first, middle + last)
    return np.stack([np.stack(rows, axis=-2) for rows in (odd, even)])


def _is_convolved_repeat(size: int) -> Callable[..., bool]:
    def check(_context: Any, scales: ir.Value, large: ir.Value, y: ir.Value, **_: ir.Value) -> bool:
        settings = _node(large).attributes
        nearest = settings.get_string("mode", "nearest") == "nearest"
        floored = settings.get_string("nearest_mode", "round_prefer_floor") == "floor"
        from_corner = settings.get_string("coordinate_transformation_mode", "half_pixel") == "asymmetric"
        doubled = scales.const_value is not None and _array(scales).tolist() == [1, 1, 2, 2]
        return nearest and floored and from_corner and doubled and _is_plain(_node(y), size)

    return check


def _is_averaged_convolution(size: int) -> Callable[..., bool]:
    def check(_context: Any, y: ir.Value, average: ir.Value, **_: ir.Value) -> bool:
        settings = _node(average).attributes
        of_four = list(settings.get_ints("kernel_shape", ())) == list(settings.get_ints("strides", (1, 1))) == [2, 2]
        options = (*settings.get_ints("pads", ()), settings.get_int("ceil_mode", 0))
        side_by_side = set(settings.get_ints("dilations", (1,))) == {1} and _pads_as_told(_node(average))
        return of_four and side_by_side and not any(options) and _is_plain(_node(y), size)

    return check


def _is_plain(node: ir.Node, size: int) -> bool:
    """Whether `node` is a two-dimensional convolution with a constant `size` x `size` kernel that keeps the map's
    size."""
    if node.op_type != "Conv" or any(v is None or v.const_value is None for v in node.inputs[1:]):
        return False
    settings = node.attributes
    steps = (*settings.get_ints("strides", (1, 1)), *settings.get_ints("dilations", (1, 1)))
    pads = settings.get_ints("pads", (0, 0, 0, 0))
    return (
        _weights(node).shape[2:] == (size, size)
        and set(steps) == {1}
        and set(pads) == {size // 2}
        and _pads_as_told(node)
    )


def _pads_as_told(node: ir.Node) -> bool:
    return node.attributes.get_string("auto_pad", "NOTSET") == "NOTSET"


def _is_depthwise(node: ir.Node) -> bool:
    return _is_plain(node, 3) and _weights(node).shape[1] == 1 and _group(node) == len(_weights(node))


def _settings(conv: ir.Node) -> tuple[Any, ...]:
    """What convolutions must have in common to be joined: all attributes but the group, and whether they have a
    bias."""
    return len(conv.inputs), *sorted((k, str(a.value)) for k, a in conv.attributes.items() if k != "group")


def _only_reader(node: ir.Node) -> ir.Node | None:
    readers = [use.node for use in node.outputs[0].uses()]
    return readers[0] if len(readers) == 1 and not node.outputs[0].is_graph_output() else None


def _node(value: ir.Value) -> ir.Node:
    node = value.producer()
    assert node is not None
    return node


def _array(value: ir.Value) -> Weights:
    assert value.const_value is not None
    return value.const_value.numpy().astype(np.float64)


def _weights(conv: ir.Node) -> Weights:
    weight = conv.inputs[1]
    assert weight is not None
    return _array(weight)


def _group(conv: ir.Node) -> int:
    return conv.attributes.get_int("group", 1)


def _float(op: Any, array: Weights, name: str) -> ir.Value:
    initializer: ir.Value = op.initializer(ir.tensor(array.astype(np.float32)), name)
    return initializer

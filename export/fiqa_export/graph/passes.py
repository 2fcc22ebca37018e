"""The passes over every exported graph: they keep its results and make it fast and simple for every runtime.

These rewrites were measured and left out, because they gained nothing or slowed a runtime down (times without / with):
scale and shift for the batch norms before a padded convolution, or folding them with a correction of the border (0.96
to 1.02); IFQA's division by sqrt(2) folded into its convolutions (1.01 to 1.02); other forms of attention, torch's
included (0.94 to 1.02: all runtimes already fuse what `models/attention.py` writes); PRelu in other forms, which speeds
ONNX Runtime up 2.7 times and slows OpenCV down, see `fiqa_runtime/onnx_bytes/prelu.py`.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import common
from onnx_ir.tensor_adapters import TorchTensor
from onnxscript import optimizer

from fiqa_export.graph.activation_passes import hard_sigmoid_as_clip
from fiqa_export.graph.convolution_passes import (
    SCOPES,
    average_inside_kernel,
    convolve_before_repeat,
    join_branches,
    pointwise_on_small_maps,
)

SMALL = 1 << 22
"""A folded constant of up to this many bytes (4 MiB) may make the file larger."""


def rewrite(model: ir.Model) -> None:
    """Apply PASSES to `model` in place. `model` comes directly from torch.onnx, with the notes that name its
    modules."""
    for apply in PASSES:
        apply(model)


def constant_reshapes(model: ir.Model) -> None:
    """Reshape to a constant such as [0, -1, C], where torch.onnx computes the target from Shape.

    0 copies an axis of the input and -1 takes what is left, so batch, height and width stay free. The results are equal
    bit for bit. YuNet loses 31 of 130 nodes, and OpenCV's older engine, which cannot compute a target, loads the file.
    """
    for node in model.graph:
        if node.op_type == "Reshape":
            data, computed = node.inputs
            assert data is not None and computed is not None
            sizes = _target(data.shape, node.outputs[0].shape)
            if computed.const_value is None and sizes is not None:
                target = ir.val(f"{node.name}_target", const_value=ir.tensor(sizes))
                model.graph.register_initializer(target)
                node.replace_input_with(1, target)
                node.attributes.pop("allowzero", None)
    common.RemoveUnusedNodesPass()(model)


def _target(before: ir.Shape | None, after: ir.Shape | None) -> list[int] | None:
    if before is None or after is None:
        return None
    known = [size.value if isinstance(size, ir.SymbolicDim) else size for size in before]
    target = []
    for axis, size in enumerate(after):
        if isinstance(size, int):
            target.append(size)
        else:
            target.append(0 if size.value is not None and known[axis : axis + 1] == [size.value] else -1)
    return target if target.count(-1) <= 1 else None


def fold_constants(model: ir.Model) -> None:
    """Compute what depends on constants only, unless the result is large and its parts are needed elsewhere.

    All runtimes but OpenCV do the same when they load a file. Results stay within 1e-6.
    """
    optimizer.fold_constants(model, output_size_limit=2**31, should_fold=_pays)
    common.RemoveUnusedNodesPass()(model)


_NOT_FOLDED = ("QuantizeLinear", "DequantizeLinear", "LayerNormalization")
"""Quantised weights stay quantised; onnxscript warns about operators with several outputs."""


def _pays(node: ir.Node) -> bool:
    inputs = [v for v in node.inputs if v is not None]
    result = node.outputs[0].shape
    if node.op_type in _NOT_FOLDED or result is None or not result.is_static():
        return False
    freed = sum(v.const_value.nbytes for v in inputs if v.const_value is not None and len(v.uses()) == 1)
    return int(np.prod(result.numpy())) * (node.outputs[0].dtype or ir.DataType.FLOAT).itemsize <= max(freed, SMALL)


def unused_and_double(model: ir.Model) -> None:
    """Remove nodes that no output needs, and all but the first of equal constants."""
    common.RemoveUnusedNodesPass()(model)
    common.DeduplicateInitializersPass(size_limit=1 << 18)(model)


def plain_dimensions(model: ir.Model) -> None:
    """Give free axes simple names: `height` and `width` for the image, `cells_8` for the length of `cls_8`, not
    16*s18*s30.

    Inside the graph, where runtimes infer sizes themselves, such axes lose their names.
    """
    graph = model.graph
    names = {"batch": "batch"}
    for value in graph.inputs:
        names |= {size: ("height", "width")[axis - 2] for axis, size in _free_axes(value) if axis > 1}
    for value in graph.outputs:
        for _, size in _free_axes(value):
            names.setdefault(size, f"cells_{str(value.name).rpartition('_')[2]}")
    for value in (*graph.inputs, *(output for node in graph for output in node.outputs)):
        free = dict(_free_axes(value))
        if free:
            sizes = enumerate(value.shape or ())
            value.shape = ir.Shape([names.get(free[axis]) if axis in free else size for axis, size in sizes])


def _free_axes(value: ir.Value) -> list[tuple[int, str]]:
    return [(axis, str(size)) for axis, size in enumerate(value.shape or ()) if not isinstance(size, int)]


def names_by_module(model: ir.Model) -> None:
    """Name nodes and values after their module and operator: `backbone.layer1.0.conv1/Conv`.

    Constants that are not parameters are named after their first reader and their role there: `…/PRelu.slope`. The
    names come from torch.onnx's notes, so the same network gets the same names every time.
    """
    graph, version = model.graph, model.opset_imports[""]
    taken: Counter[str] = Counter()
    fixed = {*graph.inputs, *graph.outputs}
    for node in graph:
        node.name = _unique(f"{_module(node)}/{node.op_type}".lstrip("/"), taken)
        for index, value in enumerate(node.outputs):
            if value not in fixed:
                value.name = f"{node.name}:{index}" if index else node.name
    for node in graph:
        for index, constant in enumerate(node.inputs):
            if constant is not None and constant.is_initializer() and not _is_parameter(constant):
                constant.name = _unique(f"{node.name}.{_role(node, index, version)}", taken)


def _is_parameter(value: ir.Value) -> bool:
    """Whether the name of an initializer comes from the state dict, or was derived from such a name by a pass; other
    names have no dot."""
    return "." in str(value.name) or isinstance(value.const_value, TorchTensor)


def _unique(name: str, taken: Counter[str]) -> str:
    taken[name] += 1
    return name if taken[name] == 1 else f"{name}_{taken[name]}"


def _module(node: ir.Node) -> str:
    constants = [str(v.name) for v in node.inputs if v is not None and v.is_initializer()]
    for weight in (name for name in constants if ".weight" in name):
        return weight[: weight.index(".weight")]
    scopes: list[str] = ast.literal_eval(node.metadata_props.get(SCOPES, "[]"))
    return scopes[-2] if len(scopes) > 1 else ""


def _role(node: ir.Node, index: int, opset: int) -> str:
    formal = onnx.defs.get_schema(node.op_type, opset).inputs
    return str(formal[min(index, len(formal) - 1)].name)


PASSES: tuple[Callable[[ir.Model], None], ...] = (
    constant_reshapes,
    fold_constants,
    join_branches,
    pointwise_on_small_maps,
    average_inside_kernel,
    convolve_before_repeat,
    hard_sigmoid_as_clip,
    unused_and_double,
    plain_dimensions,
    names_by_module,
)
"""All passes, in the order in which they run."""

"""Converts an fp32 ONNX file to strongly typed fp16. Named nodes, inputs and outputs stay in fp32, with casts between.

The types in the graph say what is computed in which precision, so every runtime computes the same. Weights are rounded
once; a value that is read in both precisions is cast once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from fiqa_runtime.errors import UnsupportedError

from fiqa_export.fp16.kept import nodes_to_keep
from fiqa_export.graph.loading import is_float, open_graph, save_graph

FP32, FP16 = ir.DataType.FLOAT, ir.DataType.FLOAT16


@dataclass(frozen=True)
class Fp16Result:
    """What was converted to fp16 and what was not."""

    kept: Mapping[str, str]
    """Why each node computes in fp32, by name of the node."""
    converted: int
    """Number of nodes that compute in fp16."""
    casts: int
    """Number of casts between the two precisions."""


def to_fp16(fp32: Path, fp16: Path, ranges: Mapping[str, float]) -> Fp16Result:
    """Write the fp16 version of the ONNX file `fp32` to `fp16`; the result passes onnx.checker.

    `ranges` is the largest magnitude of every activation of `fp32` by tensor name, see
    :func:`fiqa_export.fp16.ranges.activation_ranges`. Raises InputError where a range is missing,
    UnsupportedError for an operator that ONNX does not define, and what :func:`fiqa_export.graph.loading.open_graph`
    raises.
    """
    model = open_graph(fp32)
    return write_fp16(model, fp16, nodes_to_keep(model.graph, ranges))


def write_fp16(model: ir.Model, fp16: Path, kept: Mapping[str, str]) -> Fp16Result:
    """Convert `model` in place and write it. Exactly the nodes `kept`, and those without an fp16 form, stay in fp32."""
    result = _Conversion(model, kept).run()
    save_graph(model, fp16)
    onnx.checker.check_model(str(fp16), full_check=True)
    return result


class _Conversion:
    """One pass over the nodes in topological order; `_twins` holds each value's version of the other precision."""

    def __init__(self, model: ir.Model, kept: Mapping[str, str]) -> None:
        self._graph = model.graph
        self._opset = model.opset_imports[""]
        self._kept = dict(kept)
        self._twins: dict[ir.Value, ir.Value] = {}
        self._converted = self._casts = 0

    def run(self) -> Fp16Result:
        for node in list(self._graph):
            if node.op_type != "Cast" and any(map(is_float, node.outputs)):
                self._convert(node)
        self._give_fp32_outputs()
        self._drop_unused_weights()
        return Fp16Result(self._kept, self._converted, self._casts)

    def _convert(self, node: ir.Node) -> None:
        takes, gives = _admits_fp16(node, self._opset)
        if node.name not in self._kept and not (any(takes) and gives):
            self._kept[str(node.name)] = "has no fp16 form in ONNX" if any(takes) else "makes floats of integers"
        half = node.name not in self._kept
        for index, value in enumerate(node.inputs):
            wanted = FP16 if half and takes[index] else FP32
            if value is not None and is_float(value) and value.dtype != wanted:
                node.replace_input_with(index, self._twin(value, wanted, node))
        if half:
            self._converted += 1
            for value in filter(is_float, node.outputs):
                value.dtype = FP16

    def _twin(self, value: ir.Value, wanted: ir.DataType, before: ir.Node | None) -> ir.Value:
        """`value` in the other precision: a rounded initialiser, or a cast in front of the node `before`."""
        if value not in self._twins:
            is_weight = value.is_initializer()
            self._twins[value] = self._rounded(value) if is_weight else self._cast(value, wanted, before)
        return self._twins[value]

    def _rounded(self, value: ir.Value) -> ir.Value:
        weights = value.const_value
        assert weights is not None
        name = f"{value.name}_fp16"
        rounded = ir.LazyTensor(partial(_round, weights), FP16, ir.Shape(weights.shape.numpy()), name=name)
        twin = ir.Value(name=name, shape=rounded.shape, type=ir.TensorType(FP16), const_value=rounded)
        self._graph.register_initializer(twin)
        return twin

    def _cast(self, value: ir.Value, wanted: ir.DataType, before: ir.Node | None) -> ir.Value:
        name = f"{value.name}_{'fp16' if wanted == FP16 else 'fp32'}"
        cast = ir.node("Cast", [value], {"to": int(wanted)}, name=f"cast_{name}")
        twin = cast.outputs[0]
        twin.name, twin.dtype, twin.shape = name, wanted, value.shape
        if before is None:
            self._graph.append(cast)
        else:
            self._graph.insert_before(before, cast)
        self._casts += 1
        return twin

    def _give_fp32_outputs(self) -> None:
        """Give outputs their fp32 type and their name back; the fp16 value takes another name."""
        for index, value in enumerate(self._graph.outputs):
            if value.dtype == FP16:
                twin = self._twin(value, FP32, None)
                name, value.name = value.name, f"{value.name}_fp16"
                twin.name = name
                self._graph.outputs[index] = twin

    def _drop_unused_weights(self) -> None:
        """Remove fp32 weights that nothing reads any more, and give their names to the rounded ones."""
        for value, twin in self._twins.items():
            if value.is_initializer() and not value.uses():
                name = value.name
                del self._graph.initializers[str(name)]
                twin.name = name


def _admits_fp16(node: ir.Node, opset: int) -> tuple[list[bool], bool]:
    """Whether each input of `node`, and its first output, may be fp16 by the operator's ONNX schema."""
    try:
        schema = onnx.defs.get_schema(node.op_type, opset, node.domain)
    except onnx.defs.SchemaError as error:
        raise UnsupportedError(f"{node.domain}::{node.op_type} is not an ONNX operator; export without it") from error
    formal = [schema.inputs[min(index, len(schema.inputs) - 1)] for index in range(len(node.inputs))]
    return ["tensor(float16)" in parameter.types for parameter in formal], "tensor(float16)" in schema.outputs[0].types


def _round(weights: ir.TensorProtocol) -> ir.TensorProtocol:
    with np.errstate(over="ignore"):
        return ir.tensor(weights.numpy().astype(np.float16))

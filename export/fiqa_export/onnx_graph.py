"""ONNX files as the conversions need them: every node named, every value typed, constants as initialisers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx.shape_inference
import onnx_ir as ir
from fiqa_runtime.errors import ArtefactError, UnsupportedError
from google.protobuf.message import DecodeError
from onnx_ir.passes import common

FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16)
"""The two precisions a value of our graphs may have."""


def open_graph(path: Path) -> ir.Model:
    """The model in the file `path`; weights stay on disk until they are read.

    Raises ArtefactError where the file is no ONNX model or its types contradict each other, UnsupportedError where it
    has control flow or functions.
    """
    try:
        model = ir.load(path)
    except (OSError, DecodeError) as error:
        raise ArtefactError(f"{path} cannot be read as an ONNX model ({error}); export it again") from error
    if model.functions or any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in _attributes(model)):
        raise UnsupportedError(f"{path} has functions or control flow; inline them before converting it")
    if any(value.dtype is None for value in activations(model.graph)):
        model = _typed(model, path)
    common.NameFixPass()(model)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    return model


def activations(graph: ir.Graph) -> Iterator[ir.Value]:
    """Graph inputs and node outputs in topological order; optional outputs that are absent are left out."""
    yield from (value for value in graph.inputs if not value.is_initializer())
    for node in graph:
        yield from (value for value in node.outputs if value.name)


def is_float(value: ir.Value | None) -> bool:
    """Whether `value` is a float32 or float16 tensor; False for an absent optional input."""
    return value is not None and value.dtype in FLOATS


def _typed(model: ir.Model, path: Path) -> ir.Model:
    try:
        proto = onnx.shape_inference.infer_shapes(ir.to_proto(model), strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        reason = str(error).splitlines()[0]
        raise ArtefactError(f"the types in {path} contradict each other ({reason}); export it again") from error
    typed = ir.from_proto(proto)
    ir.external_data.set_base_dir(typed.graph, path.parent)
    return typed


def _attributes(model: ir.Model) -> Iterator[ir.Attr]:
    for node in model.graph:
        yield from node.attributes.values()

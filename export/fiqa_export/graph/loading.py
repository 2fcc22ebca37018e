"""Opens and saves ONNX files as the conversions need them: every node named, every value typed, constants as
initialisers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx.shape_inference
import onnx_ir as ir
from fiqa_runtime.artefact.card import METADATA_KEY
from fiqa_runtime.errors import ArtefactError, UnsupportedError
from fiqa_runtime.onnx_bytes.data_file import data_file
from google.protobuf.message import DecodeError
from onnx_ir.passes import common

from fiqa_export.graph.memory import make_room

LARGEST_FILE = 1_800_000_000
"""Weights of more than this many bytes go to a data file beside the graph, because protobuf messages end at 2 GiB."""
LIGHT = 1000
"""A constant of at most this many bytes may be a shape, whose values shape inference needs."""
FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16)
"""The two precisions a value of our graphs may have."""


def open_graph(path: Path) -> ir.Model:
    """The model in the file `path`; weights stay on disk until they are read.

    Raises ArtefactError where the file is not an ONNX model or its types contradict each other, UnsupportedError where
    it has control flow or functions.
    """
    try:
        make_room(path)
        model = ir.load(path)
    except (OSError, DecodeError) as error:
        raise ArtefactError(f"{path} cannot be read as an ONNX model ({error}); export it again") from error
    if model.functions or any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in _attributes(model)):
        raise UnsupportedError(f"{path} has functions or control flow; inline them before converting it")
    if any(value.dtype is None for value in activations(model.graph)):
        model = _typed(model, path)
    return _named(model)


def open_graph_of(path: Path, height: int, width: int) -> ir.Model:
    """Like :func:`open_graph`; where the network takes images of any size, the shapes are those for `height` x
    `width`."""
    proto = onnx.load(path, load_external_data=False)
    free = [v.type.tensor_type.shape.dim for v in proto.graph.input if len(v.type.tensor_type.shape.dim) == 4]
    free = [sides for sides in free if not (sides[2].dim_value and sides[3].dim_value)]
    if not free:
        return open_graph(path)
    for sides in free:
        sides[2].dim_value, sides[3].dim_value = height, width
    for output in proto.graph.output:
        output.type.tensor_type.ClearField("shape")
    del proto.graph.value_info[:]
    return _named(_typed(ir.from_proto(proto), path))


def save_graph(model: ir.Model, path: Path, weights_beside: bool = False) -> None:
    """Write `model` to `path`, without the card of the file that it was opened from.

    The weights go to ``<path>.data`` where they are too large, and where `weights_beside` asks for it: graphs that are
    opened from `path` then read them from that file. The weights of `model` may still lie in the file it was opened
    from.
    """
    model.metadata_props.pop(METADATA_KEY, None)
    ir.external_data.load_to_model(model)
    data = data_file(path)
    beside = weights_beside or needs_data_file(model)
    ir.save(model, path, external_data=data.name if beside else None)
    if not beside:
        data.unlink(missing_ok=True)


def needs_data_file(model: ir.Model) -> bool:
    """Whether the weights of `model` go to ``<path>.data`` beside the file: more than LARGEST_FILE bytes."""
    weights = sum(v.const_value.nbytes for v in model.graph.initializers.values() if v.const_value is not None)
    return weights > LARGEST_FILE


def activations(graph: ir.Graph) -> Iterator[ir.Value]:
    """Graph inputs and node outputs in topological order; optional outputs that are absent are left out."""
    yield from (value for value in graph.inputs if not value.is_initializer())
    for node in graph:
        yield from (value for value in node.outputs if value.name)


def nominal_bytes(value: ir.Value) -> int:
    """Bytes of the float32 `value` for one image; sides that are not known count as 1."""
    return 4 * math.prod(side for side in value.shape or () if isinstance(side, int))


def is_float(value: ir.Value | None) -> bool:
    """Whether `value` is a float32 or float16 tensor; False for an absent optional input."""
    return value is not None and value.dtype in FLOATS


def _named(model: ir.Model) -> ir.Model:
    common.NameFixPass()(model)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    return model


def _typed(model: ir.Model, path: Path) -> ir.Model:
    """`model` with every value typed. Shape inference would copy large weights twice, so they are left out
    meanwhile."""
    weights = {name: v.const_value for name, v in model.graph.initializers.items() if v.const_value is not None}
    large = {name: tensor for name, tensor in weights.items() if tensor.nbytes > LIGHT}
    for name, tensor in large.items():
        shape = ir.Shape(tensor.shape.numpy())
        stand_in = ir.ExternalTensor("", 0, tensor.nbytes, tensor.dtype, shape=shape, name=name)
        model.graph.initializers[name].const_value = stand_in
    try:
        proto = onnx.shape_inference.infer_shapes(ir.to_proto(model), strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        reason = str(error).splitlines()[0]
        raise ArtefactError(f"the types in {path} contradict each other ({reason}); export it again") from error
    typed = ir.from_proto(proto)
    for name, tensor in large.items():
        typed.graph.initializers[name].const_value = tensor
    ir.external_data.set_base_dir(typed.graph, path.parent)
    return typed


def _attributes(model: ir.Model) -> Iterator[ir.Attr]:
    for node in model.graph:
        yield from node.attributes.values()


# fmt: off
MATRIX_OPS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})

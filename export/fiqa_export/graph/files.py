"""ONNX files on disk: which files belong together, and a writer that goes weight by weight.

Protobuf's own writer takes three times the memory of what it writes."""

from __future__ import annotations

from pathlib import Path

import onnx
from fiqa_runtime.onnx_bytes.data_file import data_file
from fiqa_runtime.onnx_bytes.protobuf import header


def write_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Write `model` to `path` as ``onnx.save`` does, except for the order of the fields; `model` is empty
    afterwards."""
    graph = model.graph
    weights = list(graph.initializer)
    del graph.initializer[:]
    rest = graph.SerializeToString()
    heads = [header(_number(onnx.GraphProto, "initializer"), tensor.ByteSize()) for tensor in weights]
    size = len(rest) + sum(len(head) + tensor.ByteSize() for head, tensor in zip(heads, weights, strict=True))
    model.ClearField("graph")
    with path.open("wb") as stream:
        stream.write(model.SerializeToString())
        stream.write(header(_number(onnx.ModelProto, "graph"), size))
        stream.write(rest)
        for head, tensor in zip(heads, weights, strict=True):
            stream.write(head)
            stream.write(tensor.SerializeToString())
    model.Clear()


def _number(message: type, field: str) -> int:
    """Number of a field in a protobuf message."""
    return int(message.DESCRIPTOR.fields_by_name[field].number)  # type: ignore[attr-defined]


def files_of(artefact: Path) -> list[str]:
    """Names of the files that make up `artefact`: the file itself and, where there is one, its data file."""
    data = data_file(artefact)
    return [artefact.name, data.name] if data.exists() else [artefact.name]


def size_of(artefact: Path) -> int:
    """Bytes of all files that make up `artefact`."""
    return sum(artefact.with_name(name).stat().st_size for name in files_of(artefact))

"""Where the weights of an ONNX file lie that stand in files of their own, found without the onnx package.

Tensors stand in the graph's initializers, in attributes of nodes, and in the graphs and functions within. Field
numbers (onnx.proto): ModelProto.graph 7, functions 25; GraphProto.node 1, initializer 5, sparse_initializer 15;
FunctionProto.node 7; NodeProto.attribute 5; AttributeProto.t 5, g 6, tensors 10, graphs 11, sparse_tensor 22,
sparse_tensors 23; SparseTensorProto.values 1, indices 2; TensorProto.external_data 13; StringStringEntryProto.key 1,
value 2.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from fiqa_runtime.errors import ArtefactError
from fiqa_runtime.onnx_bytes.protobuf import fields

_WITHIN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
"""By kind of message: the fields that lead to external weights, and what stands in them."""
_DEEPEST = 64


def external_files(path: Path) -> frozenset[str]:
    """Names, as the ONNX file at `path` has them, of the files that hold weights of it.

    Raises ArtefactError where the file is damaged, and where a name is not that of a file beside it: a graph has no
    business with what lies elsewhere.
    """
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            names = frozenset(_locations(content[:])) if content.find(b"location") >= 0 else frozenset()
    except ValueError as error:
        raise ArtefactError(f"{path} is not an ONNX model ({error}); export it again with fiqa-export") from error
    for name in sorted(names):
        if name in ("", "..") or Path(name).name != name or "\\" in name:
            raise ArtefactError(
                f"{path} wants weights from {name!r}, which is not a file beside it; save it with its weights beside it"
            )
    return names


def _locations(model: bytes) -> Iterator[str]:
    waiting = [("model", memoryview(model), 0)]
    while waiting:
        kind, message, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError("its graphs are nested too deeply")
        if kind == "entry":
            texts = {field: bytes(payload) for field, payload, _ in fields(message)}
            if texts.get(1) == b"location":
                yield texts.get(2, b"").decode()
            continue
        within = _WITHIN[kind]
        waiting += [(within[field], payload, depth + 1) for field, payload, _ in fields(message) if field in within]

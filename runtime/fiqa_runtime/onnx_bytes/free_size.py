"""ONNX files that were written for one picture size but compute any: their sizes are freed before they are loaded.

OpenCV Zoo's YuNet of 2023 is one: convolutions, poolings and reshapes that fit any size behind an input of 640 x 640.

Field numbers (onnx.proto): ModelProto.graph 7; GraphProto.input 11, output 12, value_info 13; ValueInfoProto.name 1,
type 2; TypeProto.tensor_type 1; Tensor.elem_type 1, shape 2; TensorShapeProto.dim 1; Dimension.dim_value 1,
dim_param 2.
"""

from __future__ import annotations

from fiqa_runtime.onnx_bytes.protobuf import fields, header

_GRAPH, _INPUT, _OUTPUT, _VALUE_INFO = 7, 11, 12, 13
_FLOAT = bytes([1 << 3, 1])


def free_size(model: bytes, name: str) -> bytes:
    """A serialised ONNX model -> the same with (1, 3, rows, columns) as shape of its float32 input `name`.

    What the file says of all other shapes is dropped, so that runtimes work them out anew. Raises ValueError where it
    is damaged.
    """
    pieces: list[bytes | memoryview] = []
    for field, payload, whole in fields(memoryview(model)):
        if field != _GRAPH:
            pieces.append(whole)
            continue
        graph = [_freed(*part, name.encode()) for part in fields(payload) if part[0] != _VALUE_INFO]
        pieces += [header(_GRAPH, sum(map(len, graph))), *graph]
    return b"".join(pieces)


def _freed(field: int, payload: memoryview, whole: memoryview, name: bytes) -> bytes | memoryview:
    """What takes the place of one field of the graph."""
    if field not in (_INPUT, _OUTPUT):
        return whole
    own = next((bytes(text) for part, text, _ in fields(payload) if part == 1), None)
    if own is None:
        raise ValueError("the ONNX file is damaged: an input or output has no name")
    if field == _OUTPUT:
        return _message(field, _message(1, own), _message(2, _message(1, _FLOAT)))
    if own != name:
        return whole
    dims = (b"\x08\x01", b"\x08\x03", _message(2, b"rows"), _message(2, b"columns"))
    shape = _message(2, *(_message(1, dim) for dim in dims))
    return _message(field, _message(1, own), _message(2, _message(1, _FLOAT, shape)))


def _message(field: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return header(field, len(content)) + content

"""Read ``metadata_props`` of an ONNX file without the onnx package.

Only the top level of the protobuf message is walked, and the graph is skipped by seeking, so it costs the same for
a file of any size. Field numbers: ModelProto.graph 7, ModelProto.metadata_props 14, StringStringEntryProto key 1,
value 2 (onnx.proto).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fiqa_runtime.errors import ArtefactError

_GRAPH, _METADATA = 7, 14


def read_metadata(path: Path) -> dict[str, str]:
    """``metadata_props`` of the ONNX file at `path`; raises ArtefactError where it is not an ONNX model."""
    found: dict[str, str] = {}
    has_graph = False
    try:
        with path.open("rb") as stream:
            for field, length in _fields(stream, path.stat().st_size):
                has_graph |= field == _GRAPH
                if field == _METADATA:
                    entry = _entry(stream, stream.tell() + length)
                    found[entry.get(1, "")] = entry.get(2, "")
                else:
                    stream.seek(length, 1)
    except (ValueError, UnicodeDecodeError) as error:
        raise ArtefactError(f"{path} is not an ONNX model ({error}); export it again with fiqa-export") from error
    if not has_graph:
        raise ArtefactError(f"{path} is not an ONNX model (it holds no graph); export it again with fiqa-export")
    return found


def _fields(stream: BinaryIO, end: int) -> Iterator[tuple[int, int]]:
    """(field number, payload bytes) of each field up to `end`; the caller reads or skips the payload."""
    fixed = {1: 8, 5: 4}
    while stream.tell() < end:
        tag = _varint(stream)
        field, wire = tag >> 3, tag & 7
        if wire == 0:
            _varint(stream)
            yield field, 0
            continue
        length = _varint(stream) if wire == 2 else fixed.get(wire, -1)
        if field == 0 or length < 0 or stream.tell() + length > end:
            raise ValueError("damaged or cut short")
        yield field, length


def _entry(stream: BinaryIO, end: int) -> dict[int, str]:
    return {field: stream.read(length).decode() for field, length in _fields(stream, end)}


def _varint(stream: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)
        if not byte:
            raise ValueError("cut short")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("damaged")

"""Read ``metadata_props`` of an ONNX file without the onnx package, and hash the file without one of them.

Only the top level of the protobuf message is walked, and the graph is skipped by seeking, so it costs the same for
a file of any size. Field numbers: ModelProto.graph 7, ModelProto.metadata_props 14, StringStringEntryProto key 1,
value 2 (onnx.proto).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fiqa_runtime.errors import ArtefactError
from fiqa_runtime.onnx_bytes.protobuf import header

_GRAPH, _METADATA = 7, 14
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One entry of ``metadata_props``."""

    key: str
    value: str
    start: int
    """Where its field begins in the file."""
    end: int
    """Where it ends."""


def read_metadata(path: Path) -> dict[str, str]:
    """``metadata_props`` of the ONNX file at `path`; raises ArtefactError where it is not an ONNX model."""
    return {entry.key: entry.value for entry in _entries(path)}


def sha256_without(path: Path, key: str) -> str:
    """Hex SHA-256 of the ONNX file at `path` with every entry `key` of its metadata left out.

    Raises ArtefactError where it is not an ONNX model.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        for entry in _entries(path):
            if entry.key == key:
                _feed(digest, stream, entry.start)
                stream.seek(entry.end)
        _feed(digest, stream, path.stat().st_size)
    return digest.hexdigest()


def append_metadata(path: Path, key: str, value: str) -> None:
    """Add an entry to ``metadata_props`` at the end of the ONNX file at `path`, whose other bytes stay."""
    texts = (text.encode() for text in (key, value))
    entry = b"".join(header(field, len(text)) + text for field, text in enumerate(texts, 1))
    with path.open("ab") as stream:
        stream.write(header(_METADATA, len(entry)) + entry)


def _entries(path: Path) -> list[Entry]:
    found: list[Entry] = []
    has_graph = False
    try:
        with path.open("rb") as stream:
            for field, start, length in _fields(stream, path.stat().st_size):
                has_graph |= field == _GRAPH
                end = stream.tell() + length
                if field == _METADATA:
                    texts = {part: stream.read(size).decode() for part, _, size in _fields(stream, end)}
                    found.append(Entry(texts.get(1, ""), texts.get(2, ""), start, end))
                else:
                    stream.seek(end)
    except (ValueError, UnicodeDecodeError) as error:
        raise ArtefactError(f"{path} is not an ONNX model ({error}); export it again with fiqa-export") from error
    if not has_graph:
        raise ArtefactError(f"{path} is not an ONNX model (it holds no graph); export it again with fiqa-export")
    return found


def _feed(digest: hashlib._Hash, stream: BinaryIO, end: int) -> None:
    """Hash what lies from the position of `stream` to `end`."""
    while block := stream.read(min(_BLOCK, end - stream.tell())):
        digest.update(block)


def _fields(stream: BinaryIO, end: int) -> Iterator[tuple[int, int, int]]:
    """(field number, where it begins, payload bytes) of each field up to `end`; the caller reads or skips the
    payload."""
    fixed = {1: 8, 5: 4}
    while (start := stream.tell()) < end:
        tag = _varint(stream)
        field, wire = tag >> 3, tag & 7
        if wire == 0:
            _varint(stream)
            yield field, start, 0
            continue
        length = _varint(stream) if wire == 2 else fixed.get(wire, -1)
        if field == 0 or length < 0 or stream.tell() + length > end:
            raise ValueError("damaged or cut short")
        yield field, start, length


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

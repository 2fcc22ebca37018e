"""Protobuf messages as bytes: enough to change an ONNX file in memory on a device that has no onnx."""

from __future__ import annotations

from collections.abc import Iterator


def fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Number, payload and whole encoding of each field of a protobuf message."""
    start = 0
    while start < len(message):
        tag, at = _varint(message, start)
        end = at
        if tag & 7 == 2:
            length, at = _varint(message, at)
            end = at + length
        elif tag & 7 == 0:
            end = _varint(message, at)[1]
        elif tag & 7 in (1, 5):
            end = at + (8 if tag & 7 == 1 else 4)
        if not at <= end <= len(message) or end == start:
            raise ValueError("the ONNX file is damaged or cut short")
        yield tag >> 3, message[at:end], message[start:end]
        start = end


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at `at` and where it ends."""
    value = 0
    for shift, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return value, at + shift + 1
    raise ValueError("the ONNX file is damaged or cut short")


def header(field: int, length: int) -> bytes:
    """What stands before a payload of `length` bytes in a length-delimited field."""
    header, rest = bytearray([field << 3 | 2]), length
    while rest > 0x7F:
        header.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*header, rest])

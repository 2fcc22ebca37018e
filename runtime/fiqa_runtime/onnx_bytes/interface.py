"""What an ONNX file takes and gives, read without the onnx package.

Field numbers (onnx.proto): ModelProto.graph 7; GraphProto.initializer 5, input 11, output 12; TensorProto.name 8;
ValueInfoProto.name 1, type 2; TypeProto.tensor_type 1; Tensor.elem_type 1, shape 2; TensorShapeProto.dim 1;
Dimension.dim_value 1, dim_param 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fiqa_runtime.errors import ArtefactError
from fiqa_runtime.onnx_bytes.protobuf import fields

FLOAT, HALF = 1, 10
"""Numbers of float32 and float16 in ONNX."""


@dataclass(frozen=True)
class Port:
    """An input or output of a graph."""

    name: str
    kind: int
    """Number of its type in ONNX; 0 where the file does not say."""
    shape: tuple[int | None, ...]
    """None where a size is free."""


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs in the order of the file, without initialisers."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def read_interface(path: Path) -> Interface:
    """Inputs and outputs of the ONNX file `path`; raises ArtefactError where it is not an ONNX model."""
    constants: set[str] = set()
    inputs: list[Port] = []
    outputs: list[Port] = []
    try:
        graph = next(payload for field, payload, _ in fields(memoryview(path.read_bytes())) if field == 7)
        for field, payload, _ in fields(graph):
            if field == 5:
                constants |= {bytes(name).decode() for part, name, _ in fields(payload) if part == 8}
            elif field in (11, 12):
                (inputs if field == 11 else outputs).append(_port(payload))
    except (ValueError, StopIteration) as error:
        raise ArtefactError(f"{path} is not an ONNX model; check the file") from error
    return Interface(tuple(port for port in inputs if port.name not in constants), tuple(outputs))


def _port(message: memoryview) -> Port:
    name, kind, shape = "", 0, []
    for field, payload, _ in fields(message):
        if field == 1:
            name = bytes(payload).decode()
        for part, tensor, _ in fields(payload) if field == 2 else ():
            for number, value, _ in fields(tensor) if part == 1 else ():
                if number == 1:
                    kind = _number(value)
                elif number == 2:
                    shape = [_size(dim) for which, dim, _ in fields(value) if which == 1]
    return Port(name, kind, tuple(shape))


def _size(dimension: memoryview) -> int | None:
    return next((_number(value) for field, value, _ in fields(dimension) if field == 1), None) or None


def _number(varint: memoryview) -> int:
    return sum((byte & 0x7F) << 7 * index for index, byte in enumerate(varint))

"""PRelu is rewritten as Relu(x) + -slope * Relu(-x) for ONNX Runtime, which computes that faster, to the same bits.

Its PRelu kernel is slow and knows the plain memory layout only, so maps change layout before and after each. Relu,
Add and a product with one number per channel work in the convolutions' own layout: eDifFIQA(T) takes 0.37 of the
time, CR-FIQA(S) 0.91. OpenCV, OpenVINO and TensorRT compute PRelu within the convolution before it, and OpenCV
takes 1.5 times as long for the other form. So files keep PRelu, and what goes to ONNX Runtime is rewritten in memory.
Quantised graphs stay as they are: with it CR-FIQA(S) takes 1.6 times as long, because fewer convolutions run in int8.

A graph with weights in files of their own stays too: from memory ONNX Runtime would not know where they lie.

Field numbers (onnx.proto): ModelProto.graph 7; GraphProto.node 1, initializer 5; NodeProto.input 1, output 2, name 3,
op_type 4; TensorProto.data_location 14.
"""

from __future__ import annotations

import mmap
from pathlib import Path

from fiqa_runtime.onnx_bytes.protobuf import fields, header

_GRAPH, _NODE, _WEIGHT = 7, 1, 5
_INPUT, _OUTPUT, _NAME, _OPERATOR = 1, 2, 3, 4
_LOCATION, _EXTERNAL = 14, b"\x01"
_STEPS = (
    ("Sub", ("slope", "slope"), "zero"),
    ("Exp", ("zero",), "one"),
    ("Neg", ("one",), "minus_one"),
    ("Neg", ("slope",), "minus_slope"),
    ("Relu", ("x",), "positive"),
    ("Mul", ("x", "minus_one"), "turned"),
    ("Relu", ("turned",), "negative"),
    ("Mul", ("negative", "minus_slope"), "scaled"),
    ("Add", ("positive", "scaled"), "y"),
)
"""Operator, inputs, output. -1 takes type and shape from the slopes, because a product with a single number would need
the plain layout; ONNX Runtime computes the first four when it loads the model."""


def for_onnxruntime(path: Path) -> str | bytes:
    """What to open instead of the ONNX file `path`: its path, or its rewritten content if that is faster.

        onnxruntime.InferenceSession(for_onnxruntime(path))

    Raises ValueError where the file is empty or damaged, and OSError.
    """
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if content.find(b"PRelu") < 0 or content.find(b"QuantizeLinear") >= 0:
        return str(path)
    model = memoryview(content)
    return str(path) if _has_external_weights(model) else split_prelu(model)


def _has_external_weights(model: memoryview) -> bool:
    return any(
        part == _LOCATION and bytes(value) == _EXTERNAL
        for field, graph, _ in fields(model)
        if field == _GRAPH
        for kind, weight, _ in fields(graph)
        if kind == _WEIGHT
        for part, value, _ in fields(weight)
    )


def split_prelu(model: bytes | memoryview) -> bytes:
    """A serialised ONNX model -> the same with every PRelu written as above; ValueError where it is damaged."""
    pieces: list[bytes | memoryview] = []
    for field, payload, whole in fields(memoryview(model)):
        if field == _GRAPH:
            graph = [piece for part in fields(payload) for piece in _in_graph(*part)]
            pieces += [header(_GRAPH, sum(map(len, graph))), *graph]
        else:
            pieces.append(whole)
    return b"".join(pieces)


def _in_graph(field: int, payload: memoryview, whole: memoryview) -> list[bytes | memoryview]:
    """What takes the place of one field of the graph."""
    if field != _NODE:
        return [whole]
    texts: dict[int, list[bytes]] = {}
    for part, text, _ in fields(payload):
        texts.setdefault(part, []).append(bytes(text))
    if texts.get(_OPERATOR) != [b"PRelu"]:
        return [whole]
    (x, slope), (y,) = texts.get(_INPUT, []), texts.get(_OUTPUT, [])  # ValueError where the node is damaged
    known = {"x": x, "slope": slope, "y": y}
    names = {name: known.get(name, b"%s/%s" % (y, name.encode())) for step in _STEPS for name in (*step[1], step[2])}
    return [_node(operator, [names[i] for i in inputs], names[output]) for operator, inputs, output in _STEPS]


def _node(operator: str, inputs: list[bytes], output: bytes) -> bytes:
    texts = [*((_INPUT, i) for i in inputs), (_OUTPUT, output), (_NAME, output), (_OPERATOR, operator.encode())]
    node = b"".join(header(field, len(text)) + text for field, text in texts)
    return header(_NODE, len(node)) + node

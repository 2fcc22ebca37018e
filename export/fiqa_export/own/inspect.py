"""What is in a checkpoint or an ONNX file, and a first network file for it, with questions that its owner answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from fiqa_runtime.artefact.spec import Checkpoint
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.onnx_bytes.interface import FLOAT, HALF, Port, read_interface
from torch import Tensor

from fiqa_export.checkpoints.reading import read_state_dict
from fiqa_export.models import build
from fiqa_export.own.onnx_reference import model_of

SHOWN = 12
KINDS = {FLOAT: "float32", HALF: "float16"}


@dataclass(frozen=True)
class Inspection:
    """What was found."""

    lines: tuple[str, ...]
    """For people."""
    network: str
    """A first network file, as TOML."""


def inspect_file(path: Path) -> Inspection:
    """Look into the ONNX file or checkpoint `path`; raises what reading it raises."""
    return _onnx(path) if path.suffix.lower() == ".onnx" else _checkpoint(path)


def _onnx(path: Path) -> Inspection:
    interface, model = read_interface(path), model_of(path)
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    values = sum(onnx.numpy_helper.to_array(tensor).size for tensor in model.graph.initializer)
    lines = (
        f"{path.name}: ONNX, opset {opset}, {len(model.graph.node)} nodes, {values:,} constant values",
        *(f"input   {_port(port)}" for port in interface.inputs),
        *(f"output  {_port(port)}" for port in interface.outputs),
    )
    image = next((port.shape for port in interface.inputs if len(port.shape) == 4), (None, None, None, None))
    sides = image[1:3] if image[3] == 3 else image[2:4]
    size = [side or 112 for side in sides]
    sure = all(side is not None for side in sides)
    outputs = "\n".join(_output(port.name, port.shape) for port in interface.outputs)
    return Inspection(lines, _toml(path.stem, size, sure, outputs, f'onnx = "{path.name}"'))


def _port(port: Port) -> str:
    shape = ", ".join("?" if side is None else str(side) for side in port.shape)
    return f"{port.name}  {KINDS.get(port.kind, f'type {port.kind}')}  ({shape})"


def _checkpoint(path: Path) -> Inspection:
    state = read_state_dict(path, Checkpoint(path.name, "its author", key="state_dict"))
    count = sum(tensor.numel() for tensor in state.values())
    shown = [f"  {name}  {tuple(tensor.shape)}" for name, tensor in list(state.items())[:SHOWN]]
    more = [f"  ... and {len(state) - SHOWN} more"] if len(state) > SHOWN else []
    lines = (
        f"{path.name}: checkpoint, {len(state)} entries, {count:,} values",
        *shown,
        *more,
        f"nearest known network: {nearest(state)}",
    )
    outputs = _output("score", ())
    reference = (
        f'torch = "net.py:build"    # ? the function that returns the module\n\n[[weights]]\nfile = "{path.name}"'
    )
    return Inspection(lines, _toml(path.stem, [112, 112], False, outputs, reference))


def nearest(state: Mapping[str, Tensor]) -> str:
    """The network of this project that shares most names and shapes with `state`, and how many, in words."""
    shapes = {name.removeprefix("module."): tuple(tensor.shape) for name, tensor in state.items()}
    best, shared = "", 0
    for name in MODELS:
        with torch.device("meta"):
            own = build(name).state_dict()
        same = sum(shapes.get(entry) == tuple(tensor.shape) for entry, tensor in own.items())
        if same > shared:
            best, shared = name, same
    return f"{best}, which shares {shared} of {len(state)} entries" if shared else "none shares an entry"


def _output(name: str, shape: tuple[int | None, ...]) -> str:
    last = shape[-1] if shape else None
    kind, reduce = ("score", "none") if len(shape) < 2 or last == 1 else ("score", "l2-norm")
    asked = "    # ? what makes one number of it: none, mean, l2-norm, expectation, negate, one-minus"
    return (
        f'[[outputs]]\nname = "{re.sub(r"[^a-zA-Z0-9_]+", "-", name)}"    # ? keep one score\nkind = "{kind}"\n'
        f'of = "{name}"\nreduce = "{reduce}"{asked}\n'
    )


def _toml(stem: str, size: list[int], sure: bool, outputs: str, reference: str) -> str:
    name = re.sub(r"[^a-z0-9.]+", "-", stem.lower()).strip("-.") or "mynet"
    name = name if name not in MODELS else f"my-{name}"
    doubt = "" if sure else "    # ? height, width"
    return f"""# Lines with a question mark are guesses: correct them, then fiqa-export {name}.toml
name = "{name}"
framing = "arcface-112"    # ? arcface-112: aligned by five landmarks; ffhq: the whole head
licence = "unknown"    # ? of the weights
source = "unknown"    # ?

[input]
size = {size}{doubt}
colour = "RGB"    # ? RGB or BGR
mean = [127.5, 127.5, 127.5]    # ? in grey levels
std = [127.5, 127.5, 127.5]    # ? in grey levels
resize = "opencv-bilinear"    # ?

{outputs}
[reference]
{reference}
"""

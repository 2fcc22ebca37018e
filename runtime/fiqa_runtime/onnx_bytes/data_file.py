"""Where the weights of an ONNX file lie that are too large for the file itself."""

from __future__ import annotations

from pathlib import Path


def data_file(onnx: Path) -> Path:
    """The file beside `onnx` that holds its large weights, ``<name of the file>.data``; it need not exist."""
    return onnx.with_name(f"{onnx.name}.data")

"""A YuNet file that needs no weights: it finds a face around every bright cell of eight by eight pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from fiqa_runtime.faces.yunet import STRIDES
from fiqa_runtime.images.preprocess import Image
from numpy.typing import NDArray
from onnx import helper, numpy_helper

CELL = STRIDES[0]
SIZE = 48
"""Pixels of a face."""
CHANNELS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
POINTS = np.array([[-1.2, -1], [1.2, -1], [0, 0.2], [-1, 1.4], [1, 1.4]]) + 0.5
"""Of eyes, nose and corners of the mouth, in cells from the corner of the bright one."""


def bright_yunet(path: Path) -> Path:
    """Write the file: its confidence is how far the mean of a cell is above 128, by the hundred, and at most 1."""
    nodes, weights, outputs = [], [], []
    for stride in STRIDES:
        for kind, channels in CHANNELS.items():
            name = f"{kind}_{stride}"
            kernel = np.zeros((channels, 3, stride, stride), np.float32)
            bias = np.zeros(channels, np.float32)
            if stride == CELL:
                kernel += 0.01 / kernel[0].size if kind == "cls" else 0
                size = np.log(SIZE / CELL)
                constants = {
                    "cls": [-1.28],
                    "obj": [1.0],
                    "bbox": [0.5, 0.5, size, size],
                    "kps": POINTS.ravel().tolist(),
                }
                bias[:] = constants[kind]
            made = {f"{name}_kernel": kernel, f"{name}_bias": bias, f"{name}_shape": np.array([1, -1, channels])}
            weights += [numpy_helper.from_array(value, key) for key, value in made.items()]
            nodes += [
                helper.make_node("Conv", ["input", *list(made)[:2]], [f"{name}_map"], strides=[stride, stride]),
                helper.make_node("Transpose", [f"{name}_map"], [f"{name}_last"], perm=[0, 2, 3, 1]),
                helper.make_node("Reshape", [f"{name}_last", f"{name}_shape"], [name]),
            ]
            outputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, None, channels]))
    image = helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, [1, 3, "height", "width"])
    graph = helper.make_graph(nodes, "bright", [image], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def photo_with(places: list[tuple[int, int]], seed: int = 0) -> Image:
    """uint8 BGR (128, 256, 3), dim and noisy, with bright cells at the `places` (column, row)."""
    found: NDArray[np.uint8] = np.random.default_rng(seed).integers(0, 100, (128, 256, 3), np.uint8)
    for number, (column, row) in enumerate(places):
        found[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = 220 - 10 * number
    return found

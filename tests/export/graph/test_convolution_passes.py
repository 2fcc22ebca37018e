"""Rewrites of convolutions, proved on whole numbers: float32 computes those exactly, so results must be bit-equal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from fiqa_export.graph.convolution_passes import (
    average_inside_kernel,
    convolve_before_repeat,
    join_branches,
    pointwise_on_small_maps,
)

from tests.help.samples.onnx_graphs import node, save_graph

Pass = Callable[[ir.Model], None]
Attributes = Mapping[str, Any]
REPEAT: Attributes = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
DOUBLE = np.array([1, 1, 2, 2], np.float32)
KEEP: Attributes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
AVERAGE: Attributes = {"kernel_shape": [2, 2], "strides": [2, 2]}


def whole(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape) + sum(shape)).integers(-4, 5, shape).astype(np.float32)


def run(path: Path, x: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    result: np.ndarray = ort.InferenceSession(str(path), options).run(None, {"x": x})[0]
    return result


def rewritten(path: Path, apply: Pass) -> Counter[str]:
    """Rewrite the file; count the operators of the result."""
    model = ir.load(path)
    apply(model)
    ir.save(model, path)
    return Counter(n.op_type for n in model.graph)


def repeated(tmp_path: Path, weights: Sequence[np.ndarray], conv: Attributes, **resize: object) -> Path:
    names = [f"c.{kind}" for kind, _ in zip(("weight", "bias"), weights, strict=False)]
    nodes = [
        node("Resize", "x - scales", "large", **{**REPEAT, **resize}),
        node("Conv", " ".join(["large", *names]), **conv),
    ]
    constants = {"scales": DOUBLE, **dict(zip(names, weights, strict=True))}
    return save_graph(tmp_path / "graph.onnx", nodes, constants, [None, 4, None, None])


def averaged(tmp_path: Path, weights: Sequence[np.ndarray], conv: Attributes, **pool: object) -> Path:
    names = [f"c.{kind}" for kind, _ in zip(("weight", "bias"), weights, strict=False)]
    nodes = [
        node("Conv", " ".join(["x", *names]), "large", **conv),
        node("AveragePool", "large", **{**AVERAGE, **pool}),
    ]
    return save_graph(tmp_path / "graph.onnx", nodes, dict(zip(names, weights, strict=True)), [None, 4, None, None])


@pytest.mark.parametrize("shape", [(1, 4, 5, 6), (3, 4, 1, 1), (2, 4, 7, 2)])
@pytest.mark.parametrize("weights", [[whole(6, 4, 3, 3), whole(6)], [whole(6, 4, 3, 3)], [whole(6, 2, 3, 3), whole(6)]])
def test_convolving_before_repeating(tmp_path: Path, weights: list[np.ndarray], shape: tuple[int, ...]) -> None:
    path = repeated(tmp_path, weights, {**KEEP, "group": 4 // weights[0].shape[1]})
    x = whole(*shape)
    expected = run(path, x)
    assert expected.shape == (shape[0], 6, 2 * shape[2], 2 * shape[3])
    assert rewritten(path, convolve_before_repeat) == Counter(Conv=1, DepthToSpace=1, Slice=1)
    np.testing.assert_array_equal(run(path, x), expected)


@pytest.mark.parametrize("shape", [(1, 4, 6, 8), (2, 4, 7, 5), (1, 4, 2, 2)])
@pytest.mark.parametrize("weights", [[whole(6, 4, 3, 3), whole(6)], [whole(6, 4, 3, 3)], [whole(6, 2, 3, 3), whole(6)]])
def test_averaging_inside_the_kernel(tmp_path: Path, weights: list[np.ndarray], shape: tuple[int, ...]) -> None:
    path = averaged(tmp_path, weights, {**KEEP, "group": 4 // weights[0].shape[1]})
    x = whole(*shape)
    expected = run(path, x)
    assert rewritten(path, average_inside_kernel) == Counter(Conv=1)
    np.testing.assert_array_equal(run(path, x), expected)


@pytest.mark.parametrize("weights", [[whole(6, 4, 1, 1), whole(6)], [whole(6, 4, 1, 1)], [whole(6, 2, 1, 1), whole(6)]])
def test_pointwise_convolutions_move_to_the_small_map(tmp_path: Path, weights: list[np.ndarray]) -> None:
    settings = {"kernel_shape": [1, 1], "group": 4 // weights[0].shape[1]}
    x = whole(2, 4, 6, 4)
    for build, operators in ((repeated, ["Conv", "Resize"]), (averaged, ["AveragePool", "Conv"])):
        path = build(tmp_path, weights, settings)
        expected = run(path, x)
        rewritten(path, pointwise_on_small_maps)
        assert [n.op_type for n in onnx.load(path).graph.node] == operators
        np.testing.assert_array_equal(run(path, x), expected)


@pytest.mark.parametrize(
    "conv",
    [
        {**KEEP, "strides": [2, 2]},
        {**KEEP, "pads": [0, 0, 0, 0]},
        {**KEEP, "pads": [1, 1, 0, 0]},
        {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER"},
        {**KEEP, "pads": [2, 2, 2, 2], "dilations": [2, 2]},
    ],
)
def test_other_convolutions_stay(tmp_path: Path, conv: dict[str, object]) -> None:
    weights = [whole(6, 4, 3, 3), whole(6)]
    assert rewritten(repeated(tmp_path, weights, conv), convolve_before_repeat) == Counter(Resize=1, Conv=1)
    assert rewritten(averaged(tmp_path, weights, conv), average_inside_kernel) == Counter(AveragePool=1, Conv=1)


@pytest.mark.parametrize(
    "other",
    [
        {"mode": "linear"},
        {"nearest_mode": "ceil"},
        {"coordinate_transformation_mode": "half_pixel"},
    ],
)
def test_other_enlargements_stay(tmp_path: Path, other: dict[str, object]) -> None:
    path = repeated(tmp_path, [whole(6, 4, 3, 3)], KEEP, **other)
    assert rewritten(path, convolve_before_repeat) == Counter(Resize=1, Conv=1)


def test_other_scales_stay(tmp_path: Path) -> None:
    path = repeated(tmp_path, [whole(6, 4, 3, 3)], KEEP)
    model = ir.load(path)
    model.graph.initializers["scales"].const_value = ir.tensor(np.array([1, 1, 3, 3], np.float32), name="scales")
    ir.save(model, path)
    assert rewritten(path, convolve_before_repeat) == Counter(Resize=1, Conv=1)


@pytest.mark.parametrize(
    "other", [{"pads": [1, 1, 1, 1]}, {"strides": [1, 1]}, {"ceil_mode": 1}, {"dilations": [2, 2]}]
)
def test_other_averages_stay(tmp_path: Path, other: dict[str, object]) -> None:
    path = averaged(tmp_path, [whole(6, 4, 3, 3)], KEEP, **other)
    assert rewritten(path, average_inside_kernel) == Counter(AveragePool=1, Conv=1)


def test_a_map_that_others_read_stays(tmp_path: Path) -> None:
    nodes = [
        node("Resize", "x - scales", "large", **REPEAT),
        node("Conv", "large c.weight", "z", **KEEP),
        node("Add", "z large"),
    ]
    weights = {"scales": DOUBLE, "c.weight": whole(4, 4, 3, 3)}
    path = save_graph(tmp_path / "graph.onnx", nodes, weights, [None, 4, None, None])
    assert rewritten(path, convolve_before_repeat) == Counter(Resize=1, Conv=1, Add=1)


def branches(tmp_path: Path, widths: Sequence[int], **last: object) -> Path:
    """Pairs of a point-wise and a depth-wise convolution of one map, their results side by side."""
    nodes: list[onnx.NodeProto] = []
    weights: dict[str, np.ndarray] = {}
    for i, width in enumerate(widths):
        settings = {**KEEP, "group": width, **(last if i == len(widths) - 1 else {})}
        weights |= {f"{i}.p.weight": whole(width, 4, 1, 1), f"{i}.p.bias": whole(width)}
        weights |= {f"{i}.d.weight": whole(width, 1, 3, 3) + i, f"{i}.d.bias": whole(width) - i}
        nodes.append(node("Conv", f"x {i}.p.weight {i}.p.bias", f"p{i}", kernel_shape=[1, 1]))
        nodes.append(node("Conv", f"p{i} {i}.d.weight {i}.d.bias", f"d{i}", **settings))
    nodes.append(node("Concat", " ".join(f"d{i}" for i in range(len(widths))), axis=1))
    return save_graph(tmp_path / "graph.onnx", nodes, weights, [None, 4, None, None])


def test_branches_are_joined(tmp_path: Path) -> None:
    path, x = branches(tmp_path, (1, 4, 2)), whole(2, 4, 5, 3)
    expected = run(path, x)
    assert rewritten(path, join_branches) == Counter(Conv=2, Split=1, Concat=1)
    np.testing.assert_array_equal(run(path, x), expected)


def test_only_equal_branches_are_joined(tmp_path: Path) -> None:
    path, x = branches(tmp_path, (1, 4, 2), pads=[2, 2, 2, 2], dilations=[2, 2]), whole(2, 4, 5, 3)
    expected = run(path, x)
    assert rewritten(path, join_branches) == Counter(Conv=4, Split=1, Concat=1)
    np.testing.assert_array_equal(run(path, x), expected)
    assert rewritten(branches(tmp_path, (2,)), join_branches) == Counter(Conv=2, Concat=1)

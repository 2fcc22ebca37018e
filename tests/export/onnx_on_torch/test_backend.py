"""The executor that fp16 parity rests on: its numbers are ONNX Runtime's in fp32, and really rounded in fp16."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from fiqa_export.onnx_on_torch.backend import OnnxOnTorch
from fiqa_runtime.errors import ArtefactError, InputError, UnsupportedError
from onnx import TensorProto, helper
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from tests.help.samples.onnx_graphs import node, save_graph

RNG = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


CASES: dict[str, tuple[list[onnx.NodeProto], dict[str, np.ndarray], tuple[int, ...]]] = {
    "conv-asymmetric-pads": (
        [node("Conv", "x w b", pads=[0, 1, 2, 3])],
        {"w": normal(6, 4, 3, 3), "b": normal(6)},
        (2, 4, 9, 8),
    ),
    "conv-grouped-dilated": (
        [node("Conv", "x w", group=4, dilations=[2, 2], strides=[2, 1])],
        {"w": normal(4, 1, 3, 3)},
        (2, 4, 9, 8),
    ),
    "gemm": (
        [node("Gemm", "x w b", alpha=0.5, beta=2.0, transB=1)],
        {"w": normal(3, 5), "b": normal(3)},
        (2, 5),
    ),
    "max-pool-padded": (
        [node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])],
        {},
        (1, 2, 7, 8),
    ),
    "average-pool": ([node("AveragePool", "x", kernel_shape=[2, 3], strides=[2, 3])], {}, (1, 2, 6, 9)),
    "gather-one": ([node("Gather", "x i", axis=1)], {"i": np.array(2, np.int64)}, (2, 4, 5)),
    "global-average-pool": ([node("GlobalAveragePool", "x")], {}, (2, 3, 4, 5)),
    "batch-norm": (
        [node("BatchNormalization", "x s b m v", epsilon=1e-3)],
        {"s": normal(3), "b": normal(3), "m": normal(3), "v": np.abs(normal(3))},
        (2, 3, 4, 4),
    ),
    "layer-norm-two-axes": (
        [node("LayerNormalization", "x s b", axis=-2, epsilon=1e-3)],
        {"s": normal(4, 5), "b": normal(4, 5)},
        (2, 3, 4, 5),
    ),
    "gelu-tanh": ([node("Gelu", "x", approximate="tanh")], {}, (3, 4)),
    "clip": (
        [node("Clip", "x low high")],
        {"low": np.float32(-0.5) * np.ones(()), "high": np.ones((), np.float32)},
        (3, 4),
    ),
    "clip-from-above": ([node("Clip", "x - high")], {"high": np.zeros((), np.float32)}, (3, 4)),
    "resize-linear": (
        [node("Resize", "x - - size", mode="linear", coordinate_transformation_mode="half_pixel")],
        {"size": ints(1, 2, 9, 10)},
        (1, 2, 3, 5),
    ),
    "resize-nearest": (
        [
            node(
                "Resize",
                "x - scale",
                mode="nearest",
                coordinate_transformation_mode="asymmetric",
                nearest_mode="floor",
            )
        ],
        {"scale": np.array([1, 1, 2, 3], np.float32)},
        (1, 2, 3, 5),
    ),
    "slice-steps": (
        [node("Slice", "x s e a t")],
        {"s": ints(1, -4), "e": ints(100, -1), "a": ints(0, 2), "t": ints(2, 1)},
        (5, 2, 6),
    ),
    "split-uneven": (
        [node("Split", "x sizes", "a b", axis=1), node("Concat", "b a", axis=1)],
        {"sizes": ints(1, 3)},
        (2, 4),
    ),
    "pad-some-axes": (
        [node("Pad", "x pads v a")],
        {"pads": ints(1, 2), "v": np.full((), 3, np.float32), "a": ints(-2)},
        (2, 3, 4),
    ),
    "gather-negative": ([node("Gather", "x i", axis=1)], {"i": np.array([[0, -1], [2, 1]], np.int64)}, (2, 4, 3)),
    "expand": ([node("Expand", "x shape")], {"shape": ints(2, 3, 1)}, (3, 4)),
    "squeeze-unsqueeze": (
        [node("Unsqueeze", "x a", "u"), node("Squeeze", "u s")],
        {"a": ints(0, -1), "s": ints(0)},
        (3, 4),
    ),
    "reshape-zero": ([node("Reshape", "x shape")], {"shape": ints(0, -1)}, (3, 4, 5)),
    "shape-arithmetic": (
        [
            node("Shape", "x", "s", start=0, end=2),
            node("Div", "s two", "h"),
            node("Concat", "h rest", "shape", axis=0),
            node("Reshape", "x shape"),
        ],
        {"two": ints(2), "rest": ints(-1)},
        (4, 6, 5),
    ),
    "flatten": ([node("Flatten", "x", axis=2)], {}, (2, 3, 4, 5)),
    "reduce-all": ([node("ReduceL2", "x", keepdims=0)], {}, (3, 4)),
    "reduce-axes": ([node("ReduceSum", "x a")], {"a": ints(0, -1)}, (3, 4, 5)),
    "pow-sqrt-sin": (
        [node("Pow", "x two", "p"), node("Sqrt", "p", "q"), node("Sin", "q")],
        {"two": np.float32(2) * np.ones(())},
        (3, 4),
    ),
    "quantize-per-tensor": (
        [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z")],
        {"s": np.full((), 0.02, np.float32), "z": np.full((), 5, np.int8)},
        (3, 40),
    ),
    "dequantize-per-channel": (
        [node("DequantizeLinear", "w s", "d", axis=0), node("Conv", "x d")],
        {"w": RNG.integers(-127, 128, (6, 4, 3, 3)).astype(np.int8), "s": np.abs(normal(6)) / 127},
        (2, 4, 9, 8),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_operators_agree_with_onnxruntime(case: str, tmp_path: Path) -> None:
    nodes, weights, shape = CASES[case]
    weights = {
        name: value.astype(np.float32) if value.dtype == np.float64 else value for name, value in weights.items()
    }
    x = normal(*shape)
    path = save_graph(tmp_path / "g.onnx", nodes, weights, list(shape))
    (expected,) = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    actual = OnnxOnTorch(path).run({"x": x})["y"]
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 2e-6 * max(1, np.abs(expected).max())


def half_graph(path: Path, op: onnx.NodeProto, weights: dict[str, np.ndarray], rank: int) -> Path:
    """x in float32 -> fp16 -> `op` from hx to hy -> y in float32."""
    cast, back = node("Cast", "x", "hx", to=TensorProto.FLOAT16), node("Cast", "hy", "y", to=TensorProto.FLOAT)
    path = save_graph(path, [cast, op, back], weights, [None] * rank)
    onnx.shape_inference.infer_shapes_path(path, path, check_type=True, strict_mode=True)
    return path


def test_rounds_after_every_node(tmp_path: Path) -> None:
    """2048 + 1 has no fp16 number: true half arithmetic loses the 1, arithmetic in float32 does not."""
    nodes = [
        node("Cast", "x", "hx", to=TensorProto.FLOAT16),
        node("Add", "hx one", "sum"),
        node("Sub", "sum big", "difference"),
        node("Cast", "difference", "y", to=TensorProto.FLOAT),
    ]
    weights = {"one": np.ones(1, np.float16), "big": np.full(1, 2048, np.float16)}
    path = save_graph(tmp_path / "g.onnx", nodes, weights, [1])
    assert OnnxOnTorch(path).run({"x": np.array([2048], np.float32)})["y"].tolist() == [0]


def test_overflows_as_fp16_does(tmp_path: Path) -> None:
    path = half_graph(tmp_path / "g.onnx", node("Mul", "hx two", "hy"), {"two": np.full(1, 2, np.float16)}, 1)
    result = OnnxOnTorch(path).run({"x": np.array([32752, 32768], np.float32)})["y"]
    assert result.tolist() == [65504, np.inf]


NATIVE: dict[str, tuple[onnx.NodeProto, Callable[[Tensor, Tensor], Tensor], tuple[int, ...], tuple[int, ...]]] = {
    "conv": (node("Conv", "hx w", "hy"), F.conv2d, (1, 32, 14, 14), (16, 32, 3, 3)),
    "matmul": (node("MatMul", "hx w", "hy"), torch.matmul, (4, 57, 64), (64, 48)),
    "add": (node("Add", "hx w", "hy"), torch.add, (4, 500), (4, 500)),
    "div": (node("Div", "hx w", "hy"), torch.div, (4, 500), (4, 500)),
    "gelu": (node("Gelu", "hx", "hy"), lambda x, _: F.gelu(x), (4, 500), (1,)),
    "sigmoid": (node("Sigmoid", "hx", "hy"), lambda x, _: x.sigmoid(), (4, 500), (1,)),
    "softmax": (node("Softmax", "hx", "hy"), lambda x, _: x.softmax(-1), (4, 500), (1,)),
    "prelu": (node("PRelu", "hx w", "hy"), lambda x, w: torch.where(x < 0, w * x, x), (4, 500), (1, 500)),
}


@pytest.mark.parametrize("case", NATIVE)
def test_is_what_native_half_kernels_compute(case: str, tmp_path: Path) -> None:
    """Within one rounding of torch's float16 kernels, most values bit-equal, and not what float32 would give."""
    op, native, shape, weight_shape = NATIVE[case]
    x = normal(*shape).astype(np.float16)
    w = (normal(*weight_shape) / np.sqrt(np.prod(weight_shape[1:]))).astype(np.float16)
    path = half_graph(tmp_path / "g.onnx", op, {"w": w} if "w" in op.input else {}, len(shape))
    actual = OnnxOnTorch(path).run({"x": x.astype(np.float32)})["y"]
    expected = native(torch.from_numpy(x), torch.from_numpy(w)).float().numpy()
    exact = native(torch.from_numpy(x).double(), torch.from_numpy(w).double()).numpy()
    spacing = np.spacing(np.abs(expected).astype(np.float16)).astype(np.float32)
    # A sum that nearly cancels keeps the float32 error of its terms, which depends on their order.
    assert np.isclose(actual, expected, rtol=0, atol=spacing + 1e-6).all()
    assert (actual == expected).mean() > 0.98
    assert (actual == actual.astype(np.float16)).all()
    assert (actual != exact.astype(np.float32)).mean() > 0.25


def test_unknown_operator_is_named(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "g.onnx", [node("Hardmax", "x")], {}, [2, 3])
    with pytest.raises(UnsupportedError, match="Hardmax"):
        OnnxOnTorch(path)


@pytest.mark.parametrize(
    ("op", "says"),
    [
        (node("Resize", "x - s", mode="linear", antialias=1), "antialias"),
        (node("Resize", "x - t", mode="linear"), "a fraction of a pixel"),
        (node("Cast", "x", to=int(onnx.TensorProto.DOUBLE)), "type DOUBLE"),
    ],
)
def test_uncovered_attribute_is_named(op: onnx.NodeProto, says: str, tmp_path: Path) -> None:
    scales = {"s": np.array([1, 1, 2, 2], np.float32), "t": np.array([1, 1, 1.3, 1.3], np.float32)}
    read = {name: values for name, values in scales.items() if name in op.input}
    backend = OnnxOnTorch(save_graph(tmp_path / "g.onnx", [op], read, [1, 1, 4, 4]))
    with pytest.raises(UnsupportedError, match=says):
        backend.run({"x": normal(1, 1, 4, 4)})


def test_wrong_inputs_are_named(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "g.onnx", [node("Relu", "x")], {}, [2])
    with pytest.raises(InputError, match="z"):
        OnnxOnTorch(path).run({"z": normal(2)})


def test_types_that_contradict_each_other(tmp_path: Path) -> None:
    nodes = [node("Cast", "x", "hx", to=TensorProto.FLOAT16), node("Relu", "hx")]
    path = save_graph(tmp_path / "g.onnx", nodes, {}, [2])
    with pytest.raises(ArtefactError, match="contradict"):
        OnnxOnTorch(path)


def test_a_type_the_graph_does_not_have(tmp_path: Path) -> None:
    """A file that claims float32 for what its operators make fp16 of is refused, not silently computed."""
    nodes = [node("Cast", "x", "hx", to=TensorProto.FLOAT16), node("Relu", "hx")]
    path = save_graph(tmp_path / "g.onnx", nodes, {}, [2])
    model = onnx.load(path)
    model.graph.value_info.append(helper.make_tensor_value_info("hx", TensorProto.FLOAT16, [2]))
    onnx.save(model, path)
    with pytest.raises(ArtefactError, match="y is"):
        OnnxOnTorch(path).run({"x": normal(2)})


def test_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "g.onnx"
    path.write_bytes(b"\x08\x0a\xff\xff\xff\xff")
    with pytest.raises(ArtefactError, match="export it again"):
        OnnxOnTorch(path)

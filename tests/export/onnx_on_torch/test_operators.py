"""Operators that networks of users bring: each agrees with ONNX Runtime, and every one of the table is tried."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from fiqa_export.onnx_on_torch.backend import OnnxOnTorch
from fiqa_export.onnx_on_torch.operators import OPERATORS
from fiqa_runtime.errors import UnsupportedError
from onnx import TensorProto

from tests.export.onnx_on_torch.test_backend import CASES as OTHER_CASES
from tests.help.samples.onnx_graphs import node, save_graph

RNG = np.random.default_rng(8)
POSITIVE = [node("Exp", "x", "p")]
Case = tuple[list[onnx.NodeProto], dict[str, np.ndarray], tuple[int, ...]]


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def to_float(name: str) -> onnx.NodeProto:
    return node("Cast", name, to=TensorProto.FLOAT)


ACTIVATIONS = "Abs Atan Ceil Celu Cos Elu Erf Exp Floor HardSigmoid HardSwish Identity LeakyRelu Mish Neg Relu Round"
ACTIVATIONS += " Selu Sigmoid Sign Sin Softplus Softsign Tan Tanh ThresholdedRelu LogSoftmax Softmax"
COMPARISONS = "Equal Greater GreaterOrEqual Less LessOrEqual"
REDUCTIONS = "ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceSum ReduceSumSquare"
CASES: dict[str, Case] = {
    **{name: ([node(name, "x")], {}, (3, 4, 5)) for name in ACTIVATIONS.split()},
    "HardSigmoid-options": ([node("HardSigmoid", "x", alpha=0.3, beta=0.4)], {}, (3, 40)),
    "Selu-options": ([node("Selu", "x", alpha=1.2, gamma=0.9)], {}, (3, 40)),
    "Celu-alpha": ([node("Celu", "x", alpha=0.5)], {}, (3, 40)),
    "Log": ([*POSITIVE, node("Log", "p")], {}, (3, 4)),
    "Reciprocal": ([*POSITIVE, node("Reciprocal", "p")], {}, (3, 4)),
    "PRelu": ([node("PRelu", "x w")], {"w": normal(4, 1)}, (3, 4, 5)),
    "Mod": ([node("Mod", "x two", fmod=1)], {"two": np.full(1, 0.7, np.float32)}, (3, 4)),
    **{name: ([node(name, "x w", "c"), to_float("c")], {"w": normal(4)}, (3, 4)) for name in COMPARISONS.split()},
    "logic": (
        [
            node("Greater", "x w", "g"),
            node("Less", "x v", "l"),
            node("And", "g l", "a"),
            node("Or", "g l", "o"),
            node("Xor", "a o", "e"),
            node("Not", "e", "n"),
            node("Where", "n x w"),
        ],
        {"w": normal(4), "v": normal(4)},
        (3, 4),
    ),
    **{name: ([node(name, "x w v")], {"w": normal(4), "v": normal(3, 1)}, (3, 4)) for name in ("Max", "Mean", "Min")},
    **{name: ([node(name, "x w")], {"w": normal(4)}, (3, 4)) for name in ("Mul", "Sub")},
    "Sum": ([node("Sum", "x w x")], {"w": normal(4)}, (3, 4)),
    **{name: ([node(name, "x a", keepdims=0)], {"a": ints(1)}, (3, 4, 5)) for name in REDUCTIONS.split()},
    "ArgMax": ([node("ArgMax", "x", "i", axis=1), to_float("i")], {}, (3, 4, 5)),
    "CumSum": ([node("CumSum", "x a")], {"a": ints(1)}, (3, 4)),
    "Einsum": ([node("Einsum", "x w", equation="bij,jk->bik")], {"w": normal(5, 6)}, (3, 4, 5)),
    "GroupNormalization": (
        [node("GroupNormalization", "x s b", num_groups=2)],
        {"s": normal(2), "b": normal(2)},
        (2, 6, 5, 4),
    ),
    "InstanceNormalization": ([node("InstanceNormalization", "x s b")], {"s": normal(3), "b": normal(3)}, (2, 3, 5, 4)),
    "LpNormalization": ([node("LpNormalization", "x", axis=1, p=2)], {}, (3, 7)),
    "LpNormalization-1": ([node("LpNormalization", "x", axis=-1, p=1)], {}, (3, 7)),
    "MatMul": ([node("MatMul", "x w")], {"w": normal(5, 6)}, (3, 4, 5)),
    "Clip": ([node("Clip", "x low")], {"low": np.zeros((), np.float32)}, (3, 4)),
    "ConvTranspose": (
        [node("ConvTranspose", "x w b", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])],
        {"w": normal(4, 6, 3, 3), "b": normal(6)},
        (2, 4, 5, 6),
    ),
    "ConvTranspose-groups": (
        [node("ConvTranspose", "x w", group=2, dilations=[2, 1])],
        {"w": normal(4, 3, 3, 2)},
        (1, 4, 5, 6),
    ),
    **{
        f"Conv-{way}": ([node("Conv", "x w", strides=[2, 3], auto_pad=way)], {"w": normal(3, 2, 4, 3)}, (1, 2, 9, 8))
        for way in ("SAME_UPPER", "SAME_LOWER", "VALID")
    },
    "Conv-one-dimension": ([node("Conv", "x w", pads=[1, 2])], {"w": normal(3, 2, 3)}, (2, 2, 9)),
    "MaxPool-dilated": ([node("MaxPool", "x", kernel_shape=[2, 3], dilations=[2, 1])], {}, (1, 2, 7, 8)),
    "MaxPool-up": ([node("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)], {}, (1, 2, 7, 8)),
    "MaxPool-auto": (
        [node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")],
        {},
        (1, 2, 8, 7),
    ),
    "AveragePool-padded": ([node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 0, 1, 2])], {}, (2, 3, 6, 5)),
    "AveragePool-counted": (
        [node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)],
        {},
        (2, 3, 6, 5),
    ),
    "GlobalMaxPool": ([node("GlobalMaxPool", "x")], {}, (2, 3, 4, 5)),
    "ConstantOfShape": ([node("ConstantOfShape", "s", "c"), node("Add", "c x")], {"s": ints(3, 4)}, (3, 4)),
    "DepthToSpace": ([node("DepthToSpace", "x", blocksize=2)], {}, (2, 12, 3, 4)),
    "DepthToSpace-CRD": ([node("DepthToSpace", "x", blocksize=2, mode="CRD")], {}, (2, 12, 3, 4)),
    "SpaceToDepth": ([node("SpaceToDepth", "x", blocksize=2)], {}, (2, 3, 4, 6)),
    "GatherElements": ([node("GatherElements", "x i", axis=1)], {"i": RNG.integers(0, 4, (3, 2))}, (3, 4)),
    "Range": (
        [node("Range", "a b c", "r"), to_float("r")],
        {"a": np.array(1), "b": np.array(9), "c": np.array(3)},
        (1,),
    ),
    "Tile": ([node("Tile", "x r")], {"r": ints(2, 1, 3)}, (2, 3, 4)),
    "TopK": ([node("TopK", "x k", "y i", axis=1)], {"k": ints(2)}, (3, 5)),
    "Transpose": ([node("Transpose", "x")], {}, (2, 3, 4)),
    **{
        f"Resize-{grid}-{rounding}": (
            [
                node(
                    "Resize",
                    "x - - size",
                    mode="nearest",
                    coordinate_transformation_mode=grid,
                    nearest_mode=rounding,
                )
            ],
            {"size": ints(1, 2, 7, 3)},
            (1, 2, 4, 6),
        )
        for grid in ("asymmetric", "half_pixel", "pytorch_half_pixel", "align_corners")
        for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    },
    **{
        f"Resize-{mode}-{grid}": (
            [node("Resize", "x - - size", mode=mode, coordinate_transformation_mode=grid)],
            {"size": ints(1, 2, 9, 11)},
            (1, 2, 4, 6),
        )
        for mode in ("linear", "cubic")
        for grid in ("half_pixel", "pytorch_half_pixel", "align_corners")
    },
}


@pytest.mark.parametrize("case", CASES)
def test_operators_agree_with_onnxruntime(case: str, tmp_path: Path) -> None:
    nodes, weights, shape = CASES[case]
    path = save_graph(tmp_path / "g.onnx", nodes, weights, list(shape))
    x = normal(*shape)
    (expected,) = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(["y"], {"x": x})
    actual = OnnxOnTorch(path).run({"x": x})["y"]
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= 1e-5 * max(1, np.abs(expected).max())


def test_every_operator_is_tried() -> None:
    tried = {op.op_type for nodes, *_ in [*CASES.values(), *OTHER_CASES.values()] for op in nodes}
    assert sorted(set(OPERATORS) - tried) == []


REFUSED = {
    "cumulative-reverse": ([node("CumSum", "x a", reverse=1)], {"a": ints(1)}, (3, 4)),
    "cubic-coefficient": (
        [node("Resize", "x - - size", mode="cubic", cubic_coeff_a=-0.5)],
        {"size": ints(1, 1, 8, 8)},
        (1, 1, 4, 4),
    ),
    "pool-padded-up": (
        [node("MaxPool", "x", kernel_shape=[2, 2], pads=[1, 1, 0, 0], ceil_mode=1)],
        {},
        (1, 1, 5, 5),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_covered_is_named(case: str, tmp_path: Path) -> None:
    nodes, weights, shape = REFUSED[case]
    path = save_graph(tmp_path / "g.onnx", nodes, weights, list(shape))
    with pytest.raises(UnsupportedError, match=f"{nodes[0].op_type} node .* is not covered"):
        OnnxOnTorch(path).run({"x": normal(*shape)})

"""The fp16 conversion on small graphs made for one trap each, and the ranges it is given."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from fiqa_export.fp16.convert import Fp16Result, to_fp16
from fiqa_export.fp16.ranges import activation_ranges
from fiqa_export.graph.loading import open_graph
from fiqa_export.onnx_on_torch.backend import OnnxOnTorch
from fiqa_runtime.artefact.card import METADATA_KEY
from fiqa_runtime.errors import ArtefactError, InputError, UnsupportedError
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.help.samples.onnx_graphs import node, save_graph

RNG = np.random.default_rng(3)


def normal(*shape: int) -> NDArray[np.float32]:
    return RNG.standard_normal(shape).astype(np.float32)


def products(folder: Path, nodes: list[onnx.NodeProto]) -> Path:
    """A graph from x (2, 300) whose products share the weight w."""
    return save_graph(folder / "g.onnx", nodes, {"w": normal(300, 300)}, [2, 300])


def convert(path: Path, **ranges: float) -> tuple[ir.Graph, Fp16Result]:
    """The converted graph and its plan, with 1 as the range of every tensor that is not named; checked to run."""
    names = [value.name for value in open_graph(path).graph.inputs]
    names += [value.name for n in open_graph(path).graph for value in n.outputs]
    target = path.with_name("fp16.onnx")
    plan = to_fp16(path, target, {str(name): 1.0 for name in names} | ranges)
    ort.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    return open_graph(target).graph, plan


def types(graph: ir.Graph) -> dict[str, str]:
    """Precision by name of every weight."""
    return {str(name): value.dtype.name for name, value in graph.initializers.items() if value.dtype}


def test_weight_that_both_precisions_read(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "a"), node("MatMul", "a w", "b"), node("MatMul", "b w", "c"), node("MatMul", "c w")]
    path = products(tmp_path, nodes)
    graph, _ = convert(path, a=40000.0)
    assert types(graph) == {"w": "FLOAT", "w_fp16": "FLOAT16"}
    assert [n.op_type for n in graph] == ["MatMul", "MatMul", "Cast", "MatMul", "MatMul", "Cast"]


def test_weight_that_several_nodes_share_is_rounded_once(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "a"), node("MatMul", "a w")]
    w = normal(300, 300)
    graph, plan = convert(save_graph(tmp_path / "g.onnx", nodes, {"w": w}, [2, 300]))
    assert not plan.kept
    assert types(graph) == {"w": "FLOAT16"}
    weight = graph.initializers["w"].const_value
    assert weight is not None
    assert (weight.numpy() == w.astype(np.float16)).all()


def test_value_that_several_fp32_nodes_read_is_cast_once(tmp_path: Path) -> None:
    nodes = [
        node("MatMul", "x w", "a"),
        node("Softmax", "a", "s"),
        node("ReduceMean", "a", "m"),
        node("Sub", "s m", "d"),
        node("MatMul", "d w"),
    ]
    graph, plan = convert(products(tmp_path, nodes))
    assert sorted(plan.kept.values()) == [
        "between nodes in fp32",
        "exponentials and their sum over a row",
        "sum over many values",
    ]
    assert [n.op_type for n in graph] == [
        *["Cast", "MatMul", "Cast"],
        "Softmax",
        "ReduceMean",
        "Sub",
        *["Cast", "MatMul", "Cast"],
    ]


def test_output_that_is_read_inside_too(tmp_path: Path) -> None:
    """The output keeps its name and float32; what reads it inside keeps reading fp16, or the cast that is there."""
    nodes = [node("MatMul", "x w", "y"), node("MatMul", "y w", "a"), node("Softmax", "y", "s"), node("Add", "a s", "z")]
    path = products(tmp_path, nodes)
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    onnx.save(model, path)
    graph, plan = convert(path)
    assert [(v.name, v.dtype) for v in graph.outputs] == [("y", ir.DataType.FLOAT), ("z", ir.DataType.FLOAT)]
    assert plan.casts == 3, "input, output that the softmax shares, second product"
    x = normal(2, 300) / np.float32(300)
    expected = ort.InferenceSession(str(path)).run(None, {"x": x})
    actual = OnnxOnTorch(tmp_path / "fp16.onnx").run({"x": x})
    np.testing.assert_allclose(actual["y"], expected[0], atol=2e-3)
    np.testing.assert_allclose(actual["z"], expected[1], atol=5e-3)


def test_inputs_that_have_no_fp16_form(tmp_path: Path) -> None:
    """Resize reads scales as float32 in any precision; ConstantOfShape makes floats without reading any."""
    nodes = [
        node(
            "Resize",
            "x - scale",
            "r",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        ),
        node("Conv", "r w", "c"),
        node("Shape", "c", "s"),
        node("ConstantOfShape", "s", "zeros"),
        node("Add", "c zeros", "a"),
        node("Conv", "a w"),
    ]
    weights = {"scale": np.array([1, 1, 2, 2], np.float32), "w": normal(3, 3, 1, 1)}
    graph, plan = convert(save_graph(tmp_path / "g.onnx", nodes, weights, [1, 3, 4, 4]))
    assert types(graph) == {"scale": "FLOAT", "w": "FLOAT16"}
    assert list(plan.kept.values()) == ["makes floats of integers"]


def test_sine_keeps_its_argument_and_its_results_are_joined_before_the_cast(tmp_path: Path) -> None:
    nodes = [
        node("Mul", "x two", "m"),
        node("Transpose", "m", "t"),
        node("Sin", "t", "sin"),
        node("Cos", "t", "cos"),
        node("Concat", "sin cos", "c", axis=1),
        node("MatMul", "c w"),
    ]
    graph, plan = convert(
        save_graph(tmp_path / "g.onnx", nodes, {"two": np.array([512], np.float32), "w": normal(8, 9000)}, [4, 2])
    )
    assert len(plan.kept) == 5
    assert Counter(n.op_type for n in graph)["Cast"] == plan.casts == 2


def test_constants_of_fp32_nodes_are_not_rounded_on_the_way(tmp_path: Path) -> None:
    """A position code: the phase is computed from weights alone, and moved about before."""
    nodes = [
        node("Transpose", "grid", "t"),
        node("MatMul", "t frequencies", "phase"),
        node("Sin", "phase", "code"),
        node("Add", "x code", "a"),
        node("MatMul", "a w"),
    ]
    weights: dict[str, np.ndarray] = {
        "grid": normal(2, 9),
        "frequencies": 300 * normal(2, 300),
        "w": normal(300, 300) / 300,
    }
    path = save_graph(tmp_path / "g.onnx", nodes, weights, [9, 300])
    graph, plan = convert(path)
    assert types(graph) == {"grid": "FLOAT", "frequencies": "FLOAT", "w": "FLOAT16"}
    assert [n.op_type for n in graph if n.name in plan.kept] == ["Transpose", "MatMul", "Sin"]
    x = normal(9, 300)
    expected, actual = (OnnxOnTorch(file).run({"x": x})["y"] for file in (path, tmp_path / "fp16.onnx"))
    assert np.abs(expected - actual).max() <= 2e-3 * np.abs(expected).max()


@pytest.mark.parametrize(
    ("weight", "reason"),
    [
        (np.full((300, 300), 7e4), "fp16 ends at 65504"),
        (np.full((300, 300), 3e-7), "to underflow"),
        (np.full((300, 300), 1e-3), None),
    ],
)
def test_weights_that_fp16_cannot_hold(weight: np.ndarray, reason: str | None, tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "a"), node("MatMul", "a v")]
    weights: dict[str, np.ndarray] = {
        "w": weight.astype(np.float32) * (1 + normal(300, 300) / 100),
        "v": normal(300, 300),
    }
    graph, plan = convert(save_graph(tmp_path / "g.onnx", nodes, weights, [2, 300]))
    assert types(graph) == {"w": "FLOAT" if reason else "FLOAT16", "v": "FLOAT16"}
    assert reason is None or reason in next(iter(plan.kept.values()))


@pytest.mark.parametrize("largest", [16377.0, 1e-5, np.inf, np.nan])
def test_ranges_that_fp16_cannot_hold(largest: float, tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "a"), node("Relu", "a", "b"), node("MatMul", "b w", "c"), node("MatMul", "c w")]
    path = products(tmp_path, nodes)
    graph, plan = convert(path, b=largest)
    assert [n.op_type for n in graph if n.name in plan.kept] == ["Relu", "MatMul"]


def test_range_that_was_not_measured_is_named(tmp_path: Path) -> None:
    path = products(tmp_path, [node("MatMul", "x w", "a"), node("MatMul", "a w")])
    with pytest.raises(InputError, match="no range was measured for a"):
        to_fp16(path, tmp_path / "fp16.onnx", {"x": 1.0, "y": 1.0})


def test_external_weights_are_taken_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fp16 file stands alone; one that is too large for that gets a data file of its own."""
    nodes = [node("MatMul", "x w", "a"), node("MatMul", "a v")]
    (tmp_path / "source").mkdir()
    weights = {"w": normal(300, 300), "v": np.full((300, 300), 7e4, np.float32)}
    path = save_graph(tmp_path / "source" / "g.onnx", nodes, weights, [2, 300])
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="g.onnx.data")
    x, ranges = normal(2, 300) / np.float32(300), {"x": 1.0, "a": 1.0, "y": 1.0}
    expected = OnnxOnTorch(path).run({"x": x})["y"]
    whole, split = tmp_path / "whole.onnx", tmp_path / "split.onnx"
    to_fp16(path, whole, ranges)
    monkeypatch.setattr("fiqa_export.graph.loading.LARGEST_FILE", 1000)
    to_fp16(path, split, ranges)
    for file in (tmp_path / "source").iterdir():
        file.unlink()
    assert not (tmp_path / "whole.onnx.data").exists()
    assert (tmp_path / "split.onnx.data").stat().st_size >= 300 * 300 * (2 + 4)
    for target in (whole, split):
        np.testing.assert_allclose(OnnxOnTorch(target).run({"x": x})["y"], expected, rtol=0.02, atol=5e3)


def test_card_of_the_fp32_file_is_not_inherited(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "g.onnx", [node("Relu", "x")], {}, [2])
    model = onnx.shape_inference.infer_shapes(onnx.load(path))
    helper.set_model_props(model, {METADATA_KEY: "{}", "author": "somebody"})
    onnx.save(model, path)
    convert(path)
    assert {p.key for p in onnx.load(tmp_path / "fp16.onnx").metadata_props} == {"author"}


def test_operators_that_are_not_onnx(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "g.onnx", [helper.make_node("Magic", ["x"], ["y"], domain="com.example")], {}, [2])
    model = onnx.load(path)
    model.graph.output[0].type.tensor_type.shape.dim.add()
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    onnx.save(model, path)
    with pytest.raises(UnsupportedError, match="Magic"):
        convert(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match="nowhere"):
        to_fp16(tmp_path / "nowhere.onnx", tmp_path / "fp16.onnx", {})


def test_ranges_are_the_extremes_over_all_batches(tmp_path: Path) -> None:
    nodes = [node("Neg", "x", "n"), node("Relu", "n", "r"), node("Shape", "r", "s"), node("Reshape", "r s")]
    path = save_graph(tmp_path / "g.onnx", nodes, {}, ["batch", 3])
    batches = [np.array([[1, 2, -9]], np.float32), np.array([[0, 7, 1], [-5, 0, 0]], np.float32)]
    ranges = activation_ranges(path, ({"x": batch} for batch in batches))
    assert {name: (r.low, r.high, r.largest) for name, r in ranges.items()} == {
        "x": (-9, 7, 9),
        "n": (-7, 9, 9),
        "r": (0, 9, 9),
        "y": (0, 9, 9),
    }


def test_ranges_of_a_network_that_overflows(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "g.onnx", [node("Exp", "x", "e"), node("Relu", "e")], {}, [1])
    assert activation_ranges(path, [{"x": np.array([100], np.float32)}])["e"].largest == np.inf


def test_ranges_need_an_image(tmp_path: Path) -> None:
    path = save_graph(tmp_path / "g.onnx", [node("Relu", "x")], {}, [2])
    with pytest.raises(InputError, match="at least one image"):
        activation_ranges(path, [])

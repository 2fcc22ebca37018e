"""What the passes do to real exports: the same results, in graphs that every runtime reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnx_ir as ir
import onnx_ir.passes.common
import onnxruntime as ort
import pytest
import torch
from fiqa_export.checkpoints.checkpoint import load_reference
from fiqa_export.graph import to_onnx
from fiqa_export.graph.passes import constant_reshapes, fold_constants, rewrite, unused_and_double
from fiqa_export.models.blocks.vit import Block
from fiqa_export.models.inputs import reference_input
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.yunet import HEADS
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image

from tests.help.folders import brief_folder
from tests.help.places import ROOT
from tests.help.samples.onnx_graphs import node, save_graph

Arrays = dict[str, np.ndarray]
LONG = ("cr-fiqa-s", "ifqa", "facexformer", "dsl-fiqa")
NETWORKS = ["ediffiqa-t", "yunet-s", *(pytest.param(name, marks=pytest.mark.long) for name in LONG)]
CHANGED = {"yunet-s": 1e-6, "ifqa": 5e-6, "facexformer": 2e-6, "dsl-fiqa": 1e-6}
"""Largest |d| of an output in ONNX Runtime (relative where above 1) for the networks whose arithmetic the passes
change; others stay bit-equal. IFQA's map, the one above 1e-6, is 4.8e-6 from float64 without any pass."""
OFFICIAL = {"yunet-s": "face_detection_yunet_2023mar.onnx", "yunet-n": "yunet_n_dynamic.onnx"}
DETECTIONS = {"yunet-s": "2023mar and 2026may", "yunet-n": "yunet_n"}


@dataclass(frozen=True)
class Export:
    """One network before and after the passes."""

    name: str
    plain: Path
    path: Path
    modules: frozenset[str]
    feed: Arrays


def export(name: str, weights: str, folder: Path) -> Export:
    """Export once, keeping the graph as torch.onnx made it too."""
    reference, _ = load_reference(name, weights)
    plain, path = folder / "plain.onnx", folder / f"{name}.onnx"

    def both(model: ir.Model) -> None:
        ir.save(model, plain)
        rewrite(model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(to_onnx, "rewrite", both)
        to_onnx.export_onnx(reference, path)
    spec = reference.spec.input
    images = [seeded_image(i, spec.height or 96, spec.width or 160) for i in range(2)]
    feed = {"input": reference_input(images, spec).numpy()}
    feed |= {name: tensor.numpy() for name, tensor in reference.extra_inputs(2).items()}
    return Export(name, plain, path, frozenset(name for name, _ in reference.named_modules()), feed)


@pytest.fixture(scope="module", params=NETWORKS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Export]:
    with brief_folder(tmp_path_factory, request.param) as folder:
        yield export(request.param, "seeded", folder)


@pytest.fixture(scope="module", params=OFFICIAL)
def yunet(request: pytest.FixtureRequest, weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Our export of the authors' weights."""
    weights = weights_dir / f"{request.param.replace('-', '_')}.pth"
    return export(request.param, str(weights), tmp_path_factory.mktemp(request.param))


def run(path: Path, feed: Arrays) -> Arrays:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options)
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, feed), strict=True))


def in_opencv(path: Path, images: np.ndarray) -> Arrays:
    net = cv2.dnn.readNetFromONNX(str(path))
    net.setInput(images)
    return dict(zip(HEADS, map(np.asarray, net.forward(HEADS)), strict=True))


def operators(path: Path) -> Counter[str]:
    return Counter(n.op_type for n in onnx.load(path, load_external_data=False).graph.node)


def test_results_stay(exported: Export) -> None:
    before, after = run(exported.plain, exported.feed), run(exported.path, exported.feed)
    assert before.keys() == after.keys()
    for name, expected in before.items():
        limit = CHANGED.get(exported.name, 0.0) * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(after[name], expected, rtol=0, atol=limit)
    if "score" in before:
        np.testing.assert_allclose(after["score"], before["score"], rtol=0, atol=1e-6)


def test_passes_apply(exported: Export) -> None:
    """What each pass is for: fewer nodes in YuNet's heads, small maps in IFQA, constant tokens in FaceXFormer."""
    wanted = {
        "yunet-s": {"Conv": 35, "Split": 3, "Reshape": 12},
        "ifqa": {"Conv": 38, "DepthToSpace": 5, "AveragePool": 5, "Resize": 5},
        "facexformer": {"Softmax": 30, "Sin": 0},
        "dsl-fiqa": {"Softmax": 25, "Pad": 1},
    }.get(exported.name, {"PRelu": operators(exported.plain)["PRelu"]})
    found = operators(exported.path)
    assert {operator: found[operator] for operator in wanted} == wanted


def test_no_shape_arithmetic_is_left(exported: Export) -> None:
    assert not operators(exported.path).keys() & {"Shape", "Size", "ConstantOfShape", "Range", "Constant", "Identity"}
    for each in ir.load(exported.path).graph:
        if each.op_type in ("Reshape", "Resize", "Expand"):
            assert all(v is None or v.is_initializer() for v in each.inputs[1:]), each.name


def test_constants_are_used_once(exported: Export) -> None:
    constants = ir.load(exported.path).graph.initializers.values()
    assert all(value.uses() for value in constants)
    held = [value.const_value for value in constants if value.const_value is not None]
    contents = Counter((str(tensor.shape), tensor.tobytes()) for tensor in held if tensor.size > 9)
    assert contents.most_common(1)[0][1] == 1


def test_nothing_but_constants_can_be_folded(exported: Export) -> None:
    left = [
        each.name
        for each in ir.load(exported.path).graph
        if each.op_type != "LayerNormalization" and all(v is None or v.is_initializer() for v in each.inputs)
    ]
    assert not left


def test_names_say_where_a_node_comes_from(exported: Export) -> None:
    graph = ir.load(exported.path).graph
    names = [str(each.name) for each in graph]
    assert len(set(names)) == len(names)
    for each in graph:
        module, _, operator = str(each.name).rpartition("/")
        assert module in exported.modules, each.name
        assert operator.split("_")[0] == each.op_type
    assert not [name for name in graph.initializers if "." not in name and "val_" in name]


def test_free_axes_have_plain_names(exported: Export) -> None:
    values = onnx.load(exported.path, load_external_data=False).graph
    free = {d.dim_param for v in (*values.input, *values.output) for d in v.type.tensor_type.shape.dim if d.dim_param}
    sizes = {"height", "width", "cells_8", "cells_16", "cells_32"} if exported.name.startswith("yunet") else set()
    assert free == {"batch", *sizes}
    inside = {d.dim_param for v in values.value_info for d in v.type.tensor_type.shape.dim if d.dim_param}
    assert inside <= free


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    first, second = (export("yunet-s", "seeded", tmp_path).path.read_bytes() for _ in range(2))
    assert first == second
    assert str(ROOT).encode() not in first


def test_yunet_has_the_official_heads(yunet: Export, weights_dir: Path) -> None:
    image = reference_input([seeded_image(0, 640, 640)], load_reference("yunet-s", "seeded")[0].spec.input).numpy()
    ours, official = (run(path, {"input": image}) for path in (yunet.path, weights_dir / OFFICIAL[yunet.name]))
    assert list(ours) == list(HEADS)
    for name, expected in official.items():
        np.testing.assert_allclose(ours[name], expected, rtol=0, atol=1e-4)


def test_yunet_runs_in_opencv_at_any_size_and_batch(yunet: Export) -> None:
    """The files of the authors with free sizes do not load in OpenCV 4."""
    for size in ((96, 160), (64, 64)):
        images = np.random.default_rng(0).uniform(0, 255, (3, 3, *size)).astype(np.float32)
        together, expected = in_opencv(yunet.path, images), run(yunet.path, {"input": images})
        for index in range(3):
            alone = in_opencv(yunet.path, images[index : index + 1])
            for name in HEADS:
                np.testing.assert_allclose(together[name][index], alone[name][0], rtol=0, atol=1e-6)
                np.testing.assert_allclose(alone[name][0], expected[name][index], rtol=0, atol=2e-5)


def test_yunet_finds_the_same_faces(yunet: Export, golden: Callable[[str], Any], images_dir: Path) -> None:
    detector = Detector(yunet.path, backend="opencv")
    assert detector.engine == "FaceDetectorYN"
    for entry in golden("yunet")["images"]:
        faces = detector.detect(read_image(images_dir / entry["file"]))
        expected = np.array(entry["rows_0.6"][DETECTIONS[yunet.name]]).reshape(-1, 15)
        rows = [np.concatenate([f.box, f.landmarks.ravel(), [f.confidence]]) for f in faces]
        np.testing.assert_allclose(np.array(rows).reshape(-1, 15), expected, rtol=0, atol=1e-3)


def test_transformer_blocks_are_fused(tmp_path: Path) -> None:
    """One LayerNormalization and one Gelu node each, and attention as OpenVINO takes it whole: a single Subgraph."""
    openvino = pytest.importorskip("openvino")
    torch.manual_seed(0)
    blocks = torch.nn.Sequential(Block(64, 4), Block(64, 4)).eval()
    program = torch.onnx.export(
        blocks,
        (torch.randn(2, 50, 64),),
        dynamo=True,
        opset_version=to_onnx.OPSET,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    assert program is not None
    rewrite(program.model)
    program.save(tmp_path / "blocks.onnx")
    found = operators(tmp_path / "blocks.onnx")
    assert (found["LayerNormalization"], found["Gelu"], found["Softmax"]) == (4, 2, 2)
    assert not found.keys() & {"ReduceMean", "Erf", "Sqrt", "Pow", "Shape"}
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(tmp_path / "blocks.onnx"), "CPU", settings).get_runtime_model()
    kinds = Counter(op.get_rt_info()["layerType"].astype(str) for op in compiled.get_ops())
    assert kinds["Subgraph"] == 2
    assert not kinds.keys() & {"Softmax", "MatMul"}


@pytest.mark.parametrize(
    ("shape", "rest", "target"),
    [
        (["batch", 60], [60], [0, 60]),
        (["batch", "cells", 4], [15, 4], [0, -1, 4]),
        (["batch", 3, 20], [3, 20], [0, 3, 20]),
        (["pairs", 5, 4], [5, 4], [-1, 5, 4]),
        (["pairs", "cells", 4], [5, 4], None),
    ],
)
def test_reshape_targets(tmp_path: Path, shape: list[str | int], rest: list[int], target: list[int] | None) -> None:
    nodes = [node("Shape", "x", "n", end=1), node("Concat", "n rest", "t", axis=0), node("Reshape", "x t")]
    nodes[1:1] = [node("Mul", "n three", "n3")] if shape[0] == "pairs" else []
    nodes[-2].input[0] = "n3" if shape[0] == "pairs" else "n"
    weights = {"rest": np.array(rest), "three": np.array([3])}
    path = save_graph(tmp_path / "graph.onnx", nodes, weights, ["batch", 3, 20])
    x = np.arange(120, dtype=np.float32).reshape(2, 3, 20)
    expected = run(path, {"x": x})["y"]
    model = ir.load(path)
    model.graph.outputs[0].shape = ir.Shape(shape)
    constant_reshapes(model)
    ir.save(model, path)
    if target is None:
        assert "Shape" in operators(path)
    else:
        assert operators(path) == Counter(Reshape=1)
        (constant,) = model.graph.initializers.values()
        assert constant.const_value is not None
        assert constant.const_value.numpy().tolist() == target
    np.testing.assert_array_equal(run(path, {"x": x})["y"], expected)


def test_constants_are_folded_unless_that_costs_space(tmp_path: Path) -> None:
    small, large = np.ones((3, 4), np.float32), np.ones((1, 1 << 21), np.float32)
    nodes = [
        node("Add", "a a", "twice"),
        node("Add", "b c", "wide"),
        node("ReduceSum", "b axes", "total"),
        node("Add", "x twice", "u"),
        node("Mul", "u total", "v"),
        node("ReduceMax", "wide", "w"),
        node("Add", "v w"),
    ]
    weights = {"a": small, "b": large, "c": np.ones((2, 1), np.float32), "axes": np.array([0, 1])}
    path = save_graph(tmp_path / "graph.onnx", nodes, weights, [3, 4])
    expected = run(path, {"x": small})["y"]
    model = ir.load(path)
    ir.passes.common.ShapeInferencePass()(model)
    fold_constants(model)
    unused_and_double(model)
    ir.save(model, path)
    assert operators(path) == Counter(Add=3, Mul=1, ReduceMax=1)
    np.testing.assert_array_equal(run(path, {"x": small})["y"], expected)

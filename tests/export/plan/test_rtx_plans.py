"""Real builds by TensorRT-RTX without a GPU: what its parser and builder say, in one line, and what is left behind.

Every network in every precision is built by tests/export/test_networks.py. Each test skips where tensorrt_rtx is not
installed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from fiqa_export.graph.raw_input import take_raw_input
from fiqa_export.plan.build_plan import build_plan
from fiqa_export.plan.target import PlanOptions, find_target, order_plan
from fiqa_runtime.artefact.card import Card, built_for, card_path, read_card, write_card
from fiqa_runtime.artefact.spec import InputSpec, OutputSpec
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.errors import ArtefactError, CardError, FiqaError, UnsupportedError
from fiqa_runtime.scoring.scorer import Scorer
from onnx import TensorProto

from tests.help.gpu.fake_gpu import FakeGpu
from tests.help.gpu.fake_tensorrt import fake_tensorrt
from tests.help.gpu.fake_trt_builder import add_builder
from tests.help.gpu.rtx_builds import build_rtx, needs_rtx
from tests.help.samples.cards import plan_build
from tests.help.samples.onnx_graphs import identity, node, save_graph

CARD = Card(
    model="ifqa",
    precision="fp32",
    format="onnx",
    input=InputSpec(8, 8, "RGB", (0.0,) * 3, (255.0,) * 3, "opencv-bilinear", "arcface-112", name="x"),
    outputs=(OutputSpec("y", "map"),),
    licence="none",
    source="none",
    max_batch=32,
)
IMAGE: list[str | int] = ["batch", 3, 8, 8]


@pytest.fixture(autouse=True)
def rtx() -> Any:
    return needs_rtx()


def graph(folder: Path, *nodes: onnx.NodeProto, **weights: np.ndarray) -> Path:
    for index, each in enumerate(nodes):
        each.name = f"/node_{index}"
    return save_graph(folder / "ifqa.fp32.onnx", list(nodes), weights, IMAGE)


def test_a_plan_and_its_card(rtx: Any, tmp_path: Path) -> None:
    plan = tmp_path / "ifqa.fp32.plan"
    card = build_rtx(graph(tmp_path, node("Relu", "x")), CARD, plan)
    write_card(card, plan)
    shapes = {"x": {"min": (1, 3, 8, 8), "opt": (8, 3, 8, 8), "max": (32, 3, 8, 8)}}
    assert read_card(plan).plan == plan_build(
        shapes,
        flavour="tensorrt_rtx",
        version=rtx.__version__,
        gpu=None,
        compute_capability=None,
        driver=None,
        onnx_sha256=built_for(card).onnx_sha256,
    )


@pytest.mark.parametrize("model", ["ediffiqa-t", "yunet-s"])
def test_raw_input(tmp_path: Path, model: str) -> None:
    """uint8 crops in, preprocessing inside, also where the size is free."""
    spec = replace(MODELS[model].input, name="x")
    path = tmp_path / "x.onnx"
    identity(path, spec)
    take_raw_input(path, spec)
    card = build_rtx(path, replace(CARD, input=replace(spec, raw=True)), tmp_path / "x.plan")
    sides = (spec.height or 2048, spec.width or 2048)
    assert built_for(card).profile["x"].max == (card.max_batch // 4, *sides, 3)


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: data[:-1] + bytes([data[-1] ^ 1])]
)
def test_a_damaged_plan_is_refused_before_it_is_loaded(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    plan = tmp_path / "ifqa.fp32.plan"
    write_card(build_rtx(graph(tmp_path, node("Relu", "x")), CARD, plan), plan)
    plan.write_bytes(damage(plan.read_bytes()))
    with pytest.raises(CardError, match="SHA-256 differs"):
        Scorer(plan)
    card_path(plan).unlink()
    with pytest.raises(CardError, match="has no card"):
        Scorer(plan)


def mixed_types(folder: Path) -> Path:
    half = node("Cast", "x", "h", to=int(TensorProto.FLOAT16))
    return graph(folder, half, node("Add", "h w"), w=np.ones(1, np.float32))


def float_bias_in_int32(folder: Path) -> Path:
    nodes = node("DequantizeLinear", "b s z", "bias"), node("Add", "x bias")
    return graph(folder, *nodes, b=np.ones(8, np.int32), s=np.float32(0.1), z=np.int32(0))


def zero_point(folder: Path) -> Path:
    nodes = node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z")
    return graph(folder, *nodes, s=np.float32(0.1), z=np.int8(3))


def determinant(folder: Path) -> Path:
    return graph(folder, node("Relu", "x", "r"), node("Det", "r"))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            determinant,
            r"has no node '/node_1' \(Det\) of ifqa.fp32.onnx: it does not say why; install a newer TensorRT",
        ),
        (mixed_types, r"refuses node '/node_1' \(Add\) of .* types Half and Float.*; export it again"),
        (float_bias_in_int32, r"refuses node '/node_0' \(DequantizeLinear\) of .* has type Int32 but must have"),
        (zero_point, r"refuses node '/node_0' \(QuantizeLinear\) of .*Non-zero zero point is not supported"),
    ],
)
def test_a_graph_that_tensorrt_refuses(tmp_path: Path, broken: Callable[[Path], Path], message: str) -> None:
    path = broken(tmp_path)
    with pytest.raises(UnsupportedError, match=message) as caught:
        build_rtx(path, CARD, tmp_path / "ifqa.fp32.plan")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


def test_an_onnx_file_cut_in_half(tmp_path: Path) -> None:
    path = graph(tmp_path, node("Relu", "x"))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(ArtefactError, match=r"cannot read ifqa.fp32.onnx \(.*Failed to parse.*\); export it again"):
        build_rtx(path, CARD, tmp_path / "ifqa.fp32.plan")
    assert list(tmp_path.iterdir()) == [path]


def convolutions(folder: Path) -> Path:
    weights = np.ones((64, 64, 3, 3), np.float32)
    return graph(folder, node("Conv", "x v", "a"), node("Conv", "a w"), v=weights[:, :3], w=weights)


def test_a_workspace_that_is_too_small(tmp_path: Path) -> None:
    path = convolutions(tmp_path)
    with pytest.raises(UnsupportedError, match=r"the workspace is too small for .* give more with --workspace"):
        build_rtx(path, CARD, tmp_path / "ifqa.fp32.plan", workspace=1)
    assert list(tmp_path.iterdir()) == [path]


def test_ctrl_c_stops_a_real_build(tmp_path: Path) -> None:
    path = convolutions(tmp_path)
    told: list[int] = []

    def interrupt(what: str, done: int, total: int) -> None:
        told.append(done)
        if done >= 30:
            raise KeyboardInterrupt

    order = order_plan(PlanOptions("tensorrt-rtx"), CARD.precision)
    with pytest.raises(KeyboardInterrupt):
        build_plan(path, CARD, tmp_path / "ifqa.fp32.plan", order, interrupt)
    assert max(told) < 100
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version_compatible": True}, "has no --version-compatible, its plans run with the version that built them"),
        ({"hardware_compatible": True}, "has no --hardware-compatible"),
        ({"dla": 0}, "has no --dla, it builds for GPUs only; leave it out"),
        ({"batch": (2, 1, 1)}, "--batch 2,1,1 is not a range"),
    ],
)
def test_options_that_tensorrt_rtx_lacks(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    path = graph(tmp_path, node("Relu", "x"))
    with pytest.raises(FiqaError, match=message) as caught:
        build_rtx(path, replace(CARD, precision="fp16"), tmp_path / "ifqa.fp16.plan", **options)
    assert caught.value.exit_code == 2
    assert list(tmp_path.iterdir()) == [path]


def test_auto_builds_without_a_gpu() -> None:
    if importlib.util.find_spec("tensorrt"):
        pytest.skip("tensorrt is installed, which auto prefers")
    assert find_target("auto").flavour == "tensorrt_rtx"


MADE_UP_IN_TESTS = {"flags", "profiles", "pools", "cache", "shapes", "inputs", "outputs", "parser"}


@pytest.mark.parametrize(
    "name",
    ["Builder", "INetworkDefinition", "OnnxParser", "IBuilderConfig", "IOptimizationProfile", "ITimingCache"],
)
def test_the_fake_builder_asks_no_more_than_tensorrt_has(rtx: Any, name: str) -> None:
    package: ModuleType = fake_tensorrt(FakeGpu())
    add_builder(package, FakeGpu())
    made_up = {each for each in vars(getattr(package, name)) if not each.startswith("_")} - set(dir(getattr(rtx, name)))
    assert not made_up - MADE_UP_IN_TESTS


def test_names_that_only_the_fake_was_asked_for(rtx: Any) -> None:
    """Parts of the API that no build for TensorRT-RTX reaches."""
    flags = {"TF32", "VERSION_COMPATIBLE", "EXCLUDE_LEAN_RUNTIME", "GPU_FALLBACK"}
    assert flags < set(rtx.BuilderFlag.__members__)
    assert "STRONGLY_TYPED" in rtx.NetworkDefinitionCreationFlag.__members__
    assert "AMPERE_PLUS" in rtx.HardwareCompatibilityLevel.__members__
    assert "WORKSPACE" in rtx.MemoryPoolType.__members__
    assert "DLA" in rtx.DeviceType.__members__
    settings = {"builder_optimization_level", "hardware_compatibility_level", "default_device_type", "DLA_core"}
    assert settings | {"progress_monitor"} < set(dir(rtx.IBuilderConfig))
    assert {"phase_start", "phase_finish", "step_complete"} < set(dir(rtx.IProgressMonitor))
    assert {"node", "node_name", "node_operator", "desc", "code"} < set(dir(rtx.ParserError))
    assert any(name.startswith("UNSUPPORTED") for name in rtx.ErrorCode.__members__)

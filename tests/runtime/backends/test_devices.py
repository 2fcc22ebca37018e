"""Each device is served by the backends that can, never computed elsewhere in silence, and refused where it lacks."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import fiqa_runtime.backends.onnxruntime as onnxruntime_backend
import numpy as np
import onnxruntime as ort
import pytest
from fiqa_runtime.artefact.card import Card, read_card
from fiqa_runtime.artefact.spec import Precision
from fiqa_runtime.backends import ONNX_BACKENDS, available, device_lines, devices_here, open_backend, serving
from fiqa_runtime.backends.devices import CPU, DEVICES, PLAN_BACKEND, TF32, device_for
from fiqa_runtime.backends.onnxruntime import PROVIDERS, Provider
from fiqa_runtime.backends.openvino import MOST_SHAPES, OneShapeBackend
from fiqa_runtime.errors import ArtefactError, DependencyError, FiqaError, InputError, UnsupportedError

from tests.help.gpu.fake_devices import CUDA, ON_CPU, OTHERS, TENSORRT, have_everything, lack_everything
from tests.help.samples.cards import plan_build

PAIRS = [(device, backend) for device in OTHERS for backend in serving(device)]
RNG = np.random.default_rng(7)


@pytest.fixture()
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every device is here. Gives what ONNX Runtime's sessions are asked for."""
    return have_everything(monkeypatch)


@pytest.fixture()
def card(seeded_engine: Path) -> Card:
    return read_card(seeded_engine)


def feed(card: Card, count: int = 3) -> dict[str, Any]:
    return {card.input.name: RNG.standard_normal((count, 3, 112, 112), np.float32)}


def test_every_device_has_a_backend_that_exists() -> None:
    for name, device in DEVICES.items():
        assert device.what
        assert serving(name)
        assert {*device.backends} <= {*ONNX_BACKENDS, PLAN_BACKEND}
    assert serving(CPU) == list(ONNX_BACKENDS)
    assert {name for name in DEVICES if "onnxruntime" in serving(name)} == {CPU, *PROVIDERS}


@pytest.mark.parametrize(("device", "backend"), PAIRS)
def test_what_this_machine_lacks_is_refused_in_a_line_that_says_the_fix(
    device: str, backend: str, seeded_engine: Path, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    lack_everything(monkeypatch)
    assert available(device) == []
    with pytest.raises(DependencyError) as refused:
        open_backend(backend, seeded_engine, card, device=device)
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)
    assert "; " in str(refused.value), "the fix"
    assert any(word in str(refused.value) for word in ("install", "build"))


def test_what_is_here_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    lack_everything(monkeypatch)
    found = devices_here()
    assert list(found) == list(DEVICES)
    assert found[CPU] == dict.fromkeys(ONNX_BACKENDS, "")
    assert all(found["cuda"].values())
    first, cuda, *others = device_lines()
    assert first == "device cpu: in onnxruntime, openvino, opencv"
    assert cuda.startswith("device cuda: not here: ONNX Runtime")
    assert CUDA in cuda
    assert len(others) == len(OTHERS) - 1


@pytest.mark.parametrize(("device", "backend"), PAIRS)
def test_a_device_gives_the_values_of_the_processor_and_says_what_it_is(
    device: str, backend: str, seeded_engine: Path, card: Card, asked: list[dict[str, Any]]
) -> None:
    inputs = feed(card)
    right = open_backend("onnxruntime", seeded_engine, card, 1)
    opened = open_backend(backend, seeded_engine, card, 1, device=device)
    assert opened.info["device"] == device
    near = 1e-5 if opened.info["arithmetic"] == "float32" else 1e-2  # an NPU has no float32
    np.testing.assert_allclose(opened.run(inputs)["score"], right.run(inputs)["score"], rtol=0, atol=near)
    opened.close()
    with pytest.raises(InputError, match="is closed"):
        opened.run(inputs)
    if backend == "onnxruntime":
        assert opened.info["provider"] == PROVIDERS[device].name == asked[-1]["providers"][0]
        assert opened.info["nodes"] == "2 of 4"
        assert asked[-1]["fallback"] is False, "a run that fails would go on with the processor"
    if backend == "openvino":
        assert opened.info["hardware"]


@pytest.mark.parametrize("device", [name for name in OTHERS if name in PROVIDERS])
def test_a_session_that_goes_on_with_the_processor_is_refused(
    device: str, seeded_engine: Path, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real ONNX Runtime, which has no such provider: it warns and computes on the processor."""
    if PROVIDERS[device].name in ort.get_available_providers():
        pytest.skip(f"here is {device}")
    monkeypatch.setattr(ort, "get_available_providers", lambda: [PROVIDERS[device].name, ON_CPU])
    with (
        pytest.warns(UserWarning, match="not in available provider names"),
        pytest.raises(DependencyError, match=f"cannot start {PROVIDERS[device].name} here and would go on with CPU"),
    ):
        open_backend("onnxruntime", seeded_engine, card, 1, device=device)


def test_a_provider_that_takes_no_node_is_refused(
    seeded_engine: Path, card: Card, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real one: Azure's is in every wheel, and takes nothing of a network of ours."""
    azure = "AzureExecutionProvider"
    if azure not in ort.get_available_providers():
        pytest.skip("this build of ONNX Runtime has no provider beside the processor's")
    monkeypatch.setattr(onnxruntime_backend, "PROVIDERS", {"directml": Provider(azure, {}, "nothing")})
    with pytest.raises(UnsupportedError, match=f"{azure} takes none of the nodes of .*; take --device cpu"):
        open_backend("onnxruntime", seeded_engine, card, 1, device="directml")


def test_a_session_that_does_not_open_says_where(
    seeded_engine: Path, card: Card, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **more: object) -> None:
        raise RuntimeError("Please install TensorRT libraries\nas mentioned")

    monkeypatch.setattr(ort, "InferenceSession", fail)
    with pytest.raises(UnsupportedError, match=r"on tensorrt \(Please install TensorRT libraries\); take --device cpu"):
        open_backend("onnxruntime", seeded_engine, card, 1, device="tensorrt")


def test_a_run_that_fails_on_the_device_is_an_error(
    seeded_engine: Path, card: Card, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_backend("onnxruntime", seeded_engine, card, 1, device="cuda")

    def fail(*arguments: object) -> None:
        raise RuntimeError("CUDA failure 700: an illegal memory access was encountered")

    monkeypatch.setattr(ort.InferenceSession, "run", fail)
    with pytest.raises(ArtefactError, match="CUDA failure 700"):
        opened.run(feed(card))


def test_float32_stays_float32_on_nvidia_gpus(seeded_engine: Path, card: Card, asked: list[dict[str, Any]]) -> None:
    open_backend("onnxruntime", seeded_engine, card, 1, device="cuda")
    assert asked[-1]["options"][CUDA] == {"use_tf32": "0"}
    assert TF32 not in os.environ, "the provider has an option of its own"
    opened = open_backend("onnxruntime", seeded_engine, card, 1, device="tensorrt")
    assert opened.info["arithmetic"] == "float32"
    assert asked[-1]["providers"] == [TENSORRT, CUDA, ON_CPU]
    assert asked[-1]["options"][TENSORRT]["trt_fp16_enable"] == "0"
    assert os.environ[TF32] == "0"
    os.environ[TF32] = "1"
    open_backend("opencv", seeded_engine, card, 1, device="cuda")
    assert os.environ[TF32] == "1", "the user's own choice stays"


def test_tensorrt_builds_one_engine_for_all_batches_and_keeps_it(
    seeded_engine: Path, card: Card, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    open_backend("onnxruntime", seeded_engine, card, 1, device="tensorrt")
    options = asked[-1]["options"][TENSORRT]
    shapes = {name: options[f"trt_profile_{name}_shapes"] for name in ("min", "opt", "max")}
    assert shapes == {name: f"input:{n}x3x112x112" for name, n in (("min", 1), ("opt", 8), ("max", 32))}
    assert Path(options["trt_engine_cache_path"]).is_dir()
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    open_backend("onnxruntime", seeded_engine, card, 1, device="tensorrt")
    assert "trt_engine_cache_enable" not in asked[-1]["options"][TENSORRT], "there is nowhere to keep it"


@pytest.mark.parametrize(("precision", "refused"), [("fp16", True), ("int8", False)])
def test_tensorrt_in_onnx_runtime_takes_no_types_that_it_would_not_keep(
    precision: Precision, refused: bool, seeded_engine: Path, card: Card, asked: list[dict[str, Any]]
) -> None:
    card = replace(card, precision=precision)
    if refused:
        with pytest.raises(UnsupportedError, match=r"does not keep the types.*fiqa-export .* --target tensorrt"):
            open_backend("onnxruntime", seeded_engine, card, 1, device="tensorrt")
        return
    opened = open_backend("onnxruntime", seeded_engine, card, 1, device="tensorrt")
    assert opened.info["arithmetic"] == "float32", "of the nodes that are not integers"
    assert asked[-1]["options"][TENSORRT]["trt_int8_enable"] == "1"


def test_directml_gets_what_it_needs(seeded_engine: Path, card: Card, asked: list[dict[str, Any]]) -> None:
    open_backend("onnxruntime", seeded_engine, card, 1, device="directml")
    assert asked[-1]["session"].enable_mem_pattern is False
    open_backend("onnxruntime", seeded_engine, card, 1, device="cuda")
    assert asked[-1]["session"].enable_mem_pattern is True


def test_directml_computes_one_run_at_a_time(
    seeded_engine: Path, card: Card, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_backend("onnxruntime", seeded_engine, card, 1, device="directml")
    inside, another, met = [], Event(), []

    def run(*arguments: object) -> list[Any]:
        inside.append(1)
        if len(inside) > 1:
            another.set()
        met.append(another.wait(0.2))
        inside.pop()
        return [np.zeros((3, 1), np.float32)]

    monkeypatch.setattr(ort.InferenceSession, "run", run)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(opened.run, [feed(card), feed(card)]))
    assert met == [False, False]


def test_an_npu_compiles_each_shape_for_itself(seeded_engine: Path, card: Card, asked: list[dict[str, Any]]) -> None:
    opened = open_backend("openvino", seeded_engine, card, device="intel-npu")
    assert isinstance(opened, OneShapeBackend)
    compiled: list[Any] = []
    compile_for = opened._open_for

    def counted(shapes: Any) -> Any:
        compiled.append(shapes)
        return compile_for(((1, 3, 112, 112),))

    opened._open_for = counted
    opened.run(feed(card, 5))
    assert compiled == [], "images come one by one in the shape that is compiled already"
    for side in range(MOST_SHAPES + 1):
        opened._model(((1, 3, side, side),))
    assert len(compiled) == MOST_SHAPES + 1
    assert opened._models is not None
    assert len(opened._models) == MOST_SHAPES


def test_unknown_device_and_a_backend_that_does_not_serve_it(seeded_engine: Path, card: Card) -> None:
    with pytest.raises(InputError, match="unknown device 'gpu'; choose cpu, cuda, tensorrt, intel-gpu"):
        open_backend("onnxruntime", seeded_engine, card, device="gpu")
    with pytest.raises(UnsupportedError, match="backend openvino does not run on cuda; choose onnxruntime or opencv"):
        open_backend("openvino", seeded_engine, card, device="cuda")


def test_a_plan_runs_on_its_gpu_whatever_the_default_is(card: Card) -> None:
    plan = replace(card, format="plan", plan=plan_build({}))
    assert [device_for(plan, asked) for asked in (None, "cuda", "tensorrt")] == ["cuda", "cuda", "tensorrt"]
    assert [device_for(card, asked) for asked in (None, "directml")] == [CPU, "directml"]
    for device in (CPU, "intel-gpu", "coreml"):
        with pytest.raises(UnsupportedError, match=f"does not run on {device}; leave --device out or take the .onnx"):
            device_for(plan, device)
    with pytest.raises(FiqaError, match="unknown device 'gpu'"):
        device_for(plan, "gpu")

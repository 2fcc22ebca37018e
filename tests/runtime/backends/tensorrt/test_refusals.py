"""Plans that the TensorRT backend must not run here, packages that are missing, memory that does not suffice."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from fiqa_runtime.artefact.card import card_path, read_card
from fiqa_runtime.artefact.facts import Weights
from fiqa_runtime.artefact.spec import Precision
from fiqa_runtime.backends import open_backend
from fiqa_runtime.backends.cuda.driver import Gpu
from fiqa_runtime.backends.cuda.open_driver import open_driver
from fiqa_runtime.backends.tensorrt.backend import open_artefact
from fiqa_runtime.errors import ArtefactError, CardError, DependencyError, FiqaError, UnsupportedError
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.fake_cuda import fake_pycuda
from tests.help.fake_gpu import NoContextError
from tests.help.fake_machine import Make, check, images

INPUT, MAP = 4 * 3 * 8 * 8 * 4, 4 * 1 * 8 * 8 * 4
"""Bytes of the largest batch."""

# memory that does not suffice


@pytest.mark.parametrize("integrated", [False, True])
def test_failed_buffers_say_what_would_fit(make: Make, driver: str, integrated: bool) -> None:
    buffers = 2 * (INPUT + 4 * 4 + MAP)
    machine = make(driver, integrated=integrated, capacity=100 + 1000 + buffers - 1)
    with pytest.raises(UnsupportedError) as caught:
        machine.open()
    assert f"batches of 4: {(1000 + buffers) / 2**20:.1f} MiB wanted, " in str(caught.value)
    assert f"{(999 + buffers) / 2**20:.1f} MiB free" in str(caught.value)
    assert "batches of about 3 would fit: fiqa-export ifqa --fp16 --target tensorrt --batch 1,3,3" in str(caught.value)
    machine.gpu.check_nothing_left()
    machine.gpu.capacity += 1
    machine.open().close()


@pytest.mark.parametrize(
    ("room", "advice"),
    [(0.99, "batches of about 3"), (0.5, "batches of about 2"), (0.26, "batches of about 1"), (0.2, "not one image")],
)
def test_failed_activations_say_what_would_fit(make: Make, driver: str, room: float, advice: str) -> None:
    wanted = 400 << 20
    machine = make(driver, capacity=100 + int(wanted * room))
    with pytest.raises(UnsupportedError, match=rf"400.0 MiB wanted, {400 * room:.1f} MiB free.*{advice}"):
        machine.open(activations=wanted)
    machine.gpu.check_nothing_left()


def test_failed_weights(make: Make, driver: str) -> None:
    machine = make(driver, capacity=1 << 20)
    with pytest.raises(UnsupportedError, match=r"not enough GPU memory.* 1.0 MiB free.*not one image fits"):
        machine.open(weights=2 << 20)
    machine.gpu.check_nothing_left()


# refusals


def test_plan_without_a_card(make: Make) -> None:
    machine = make()
    path = machine.write()
    card_path(path).unlink()
    with pytest.raises(CardError, match=r"has no card"):
        Scorer(path)
    assert not machine.gpu.log


@pytest.mark.parametrize(
    "damage", [lambda data: data[: len(data) // 2], lambda data: bytes([data[0] ^ 1]) + data[1:], lambda data: b""]
)
def test_damaged_plan_is_never_deserialised(make: Make, damage: Callable[[bytes], bytes]) -> None:
    machine = make()
    path = machine.write()
    card = read_card(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CardError, match="SHA-256 differs"):
        Scorer(path)
    with pytest.raises(CardError, match="SHA-256 differs"):
        open_artefact(path, card, None)
    assert not machine.gpu.log


def test_card_of_another_plan(make: Make) -> None:
    machine = make()
    path = machine.write()
    other = path.with_name("other.plan")
    other.write_bytes(path.read_bytes())
    card_path(other).write_bytes(card_path(path).read_bytes())
    with pytest.raises(CardError, match="card of another file"):
        Scorer(other)
    with pytest.raises(CardError, match="SHA-256 differs"):
        open_artefact(other, read_card(path), None)


REBUILD = "build it again here: fiqa-export ifqa --fp16 --target tensorrt"


@pytest.mark.parametrize(
    ("facts", "flags", "message"),
    [
        ({"version": "10.2.0"}, {}, f"built by tensorrt 10.2.0, 10.3.0 is installed; {REBUILD}"),
        ({"version": "10.13.2"}, {}, f"built by tensorrt 10.13.2, 10.3.0 is installed; {REBUILD}"),
        ({"version": "10.13.2"}, {"version_compatible": True}, f"10.3.0 is installed; {REBUILD}"),
        ({"gpu": "NVIDIA L4"}, {}, f"built for NVIDIA L4 (compute capability 8.7), here is Fake Orin (8.7); {REBUILD}"),
        ({"compute_capability": "8.9"}, {}, f"(compute capability 8.9), here is Fake Orin (8.7); {REBUILD}"),
    ],
)
def test_plan_for_elsewhere(make: Make, facts: dict[str, Any], flags: dict[str, Any], message: str) -> None:
    machine = make()
    with pytest.raises(UnsupportedError) as caught:
        machine.open(facts=facts, flags=flags)
    assert message in str(caught.value)
    assert not machine.gpu.names("deserialize")


@pytest.mark.parametrize(("precision", "options"), [("fp32", ""), ("int8", " --int8 --calib FOLDER")])
def test_the_command_that_builds_it_again(make: Make, precision: Precision, options: str) -> None:
    path = make().write(facts={"version": "10.4.0"})
    with pytest.raises(UnsupportedError, match=rf"build it again here: fiqa-export ifqa{options} --target tensorrt$"):
        open_artefact(path, replace(read_card(path), precision=precision), None)


@pytest.mark.parametrize(
    ("weights", "option"),
    [
        (Weights("official"), ""),
        (Weights("file"), " --weights FILE"),
        (Weights("standin"), " --weights standin"),
        (Weights("seeded", seed=3), " --weights seeded:3"),
    ],
)
def test_it_is_built_again_from_the_same_weights(make: Make, weights: Weights, option: str) -> None:
    path = make().write(facts={"version": "10.4.0"})
    card = replace(read_card(path), weights=weights)
    with pytest.raises(UnsupportedError, match=rf"fiqa-export ifqa --fp16{option} --target tensorrt$"):
        open_artefact(path, card, None)
    raw = replace(card, input=replace(card.input, raw=True))
    with pytest.raises(UnsupportedError, match=rf"fiqa-export ifqa --fp16{option} --raw-input --target tensorrt$"):
        open_artefact(path, raw, None)


def test_it_is_built_again_from_the_onnx_file_beside_it(make: Make) -> None:
    path = make().write(facts={"version": "10.4.0"})
    onnx = path.with_suffix(".onnx")
    onnx.touch()
    with pytest.raises(UnsupportedError) as caught:
        Scorer(path)
    assert str(caught.value).endswith(f"build it again here: fiqa-export {onnx} --target tensorrt")


def test_hardware_compatible_plan_runs_on_ampere_and_later(make: Make) -> None:
    machine = make()
    elsewhere = {"gpu": "NVIDIA L4", "compute_capability": "8.9"}
    check(machine.open(facts=elsewhere, flags={"hardware_compatible": True}), images(2))
    machine.gpu.capability = (7, 5)
    with pytest.raises(UnsupportedError, match=r"Ampere GPUs and later.*here is Fake Orin \(7.5\); build it again"):
        machine.open(facts=elsewhere, flags={"hardware_compatible": True})


def test_version_compatible_plan_runs_through_the_lean_runtime(make: Make) -> None:
    machine = make(version="11.1.0")
    check(machine.open(flags={"version_compatible": True}), images(2))
    loads = [entry for entry in machine.gpu.log if entry[0] in ("load_runtime", "deserialize")]
    assert loads[0] == ("load_runtime", "libnvinfer_lean.so.10")
    assert loads[1][2] is False, "host code of the plan was allowed"
    machine.trt.refuse.add("load_runtime")
    with pytest.raises(UnsupportedError, match=r"needs libnvinfer_lean.so.10, which cannot be loaded; install it or"):
        machine.open(flags={"version_compatible": True})


@pytest.mark.parametrize("version", ["8.6.1", "10.2.0", "12.0.0"])
def test_tensorrt_out_of_range(make: Make, version: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"TensorRT {version} is installed, .* 10.3 to 11"):
        make(version=version).open(facts={"version": version})


def test_rtx_plan_is_run_by_tensorrt_rtx(make: Make) -> None:
    portable = {"flavour": "tensorrt_rtx", "version": "1.7.1.116", "gpu": None, "compute_capability": None}
    machine = make(flavour="tensorrt_rtx", version="1.7.1.116")
    backend = machine.open(facts=portable)
    assert backend.info["version"] == "tensorrt_rtx 1.7.1.116"
    check(backend, images(5))
    check(machine.open(facts={**portable, "compute_capability": "8.7"}), images(5))
    with pytest.raises(UnsupportedError, match="--target tensorrt-rtx"):
        machine.open(facts={**portable, "compute_capability": "8.9"})
    with pytest.raises(UnsupportedError, match=r"built by tensorrt_rtx 1.2.0.54, 1.7.1.116 is installed"):
        machine.open(facts={**portable, "version": "1.2.0.54"}, flags={"version_compatible": True})
    machine.trt.refuse.add("validity")
    with pytest.raises(UnsupportedError, match=r"\(version mismatch, unsupported cc\); build it again"):
        machine.open(facts=portable)


def test_dla_core_is_set_before_loading(make: Make) -> None:
    machine = make()
    machine.open(flags={"dla": 1}).close()
    assert next(entry for entry in machine.gpu.log if entry[0] == "deserialize")[3] == 1


@pytest.mark.parametrize("missing", ["flavour", "version", "gpu", "compute_capability", "flags"])
def test_card_that_does_not_say_it_all(make: Make, missing: str) -> None:
    path = make().write()
    document = json.loads(card_path(path).read_text(encoding="utf-8"))
    del document["plan"][missing]
    card_path(path).write_text(json.dumps(document))
    with pytest.raises(CardError, match=rf"is damaged \(plan\.{missing} is missing\); export the artefact again"):
        read_card(path)


def test_card_of_an_unknown_flavour(make: Make) -> None:
    with pytest.raises(CardError, match="plan of 'tensorrt_next'"):
        make().open(facts={"flavour": "tensorrt_next"})


def test_card_with_other_outputs(make: Make) -> None:
    machine = make()
    path = machine.write()
    card = read_card(path)
    with pytest.raises(CardError, match="other outputs than its card says; build it again: fiqa-export"):
        open_artefact(path, replace(card, outputs=card.outputs[:1]), None)
    machine.gpu.check_nothing_left()


def test_outputs_are_named_as_on_the_card(make: Make) -> None:
    path = make().write()
    card = read_card(path)
    renamed = replace(card, outputs=tuple(replace(each, name=each.name + "0") for each in card.outputs))
    assert list(open_artefact(path, renamed, None).run(images(1))) == ["score0", "map0"]


@pytest.mark.parametrize(
    ("refused", "plan", "kind", "message"),
    [
        ("deserialize", {}, ArtefactError, r"10.3.0 cannot load ifqa.fp16.plan \(Error Code 1: Serialization\); build"),
        ("runtime", {}, UnsupportedError, r"10.3.0 does not start on this GPU \(CUDA init.*35\); update the NVIDIA"),
        ("shape", {}, ArtefactError, r"cannot take 'input' of shape \(4, 3, 8, 8\) in ifqa.fp16.plan"),
        (
            "",
            {"types": {"map": "int64"}},
            UnsupportedError,
            "another type than float32; build it again: fiqa-export",
        ),
        ("", {"unbounded": ["map"]}, UnsupportedError, "'map' of no fixed shape; build it again: fiqa-export"),
    ],
)
def test_tensorrt_refuses_to_open(
    make: Make, refused: str, plan: dict[str, Any], kind: type[FiqaError], message: str
) -> None:
    machine = make()
    machine.trt.refuse.add(refused)
    with pytest.raises(kind, match=message) as caught:
        machine.open(**plan)
    assert "\n" not in str(caught.value)
    machine.gpu.check_nothing_left()


@pytest.mark.parametrize("refused", ["execute", "address"])
def test_a_failed_run_is_one_line_and_leaves_the_buffers_at_rest(make: Make, schedule: str, refused: str) -> None:
    machine = make(schedule=schedule)
    backend = machine.open()
    machine.trt.refuse.add(refused)
    with pytest.raises(ArtefactError, match=r"10.3.0 cannot .*ifqa.fp16.plan \(.*build it again here") as caught:
        backend.run(images(9))
    assert "\n" not in str(caught.value)
    assert not any(stream.queue for stream in machine.gpu.streams.values())
    machine.trt.refuse.clear()
    check(backend, images(9, seed=2))
    backend.close()
    machine.gpu.check_nothing_left()


def test_a_driver_error_while_running(make: Make, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = make(driver)
    backend = machine.open()

    def broken(event: object) -> None:
        raise NoContextError("cuEventSynchronize")

    with monkeypatch.context() as patch:
        patch.setattr(machine.gpu, "synchronize_event", broken)
        with pytest.raises(ArtefactError, match=r"failed on Fake Orin \(cuEventSynchronize.*start again"):
            backend.run(images(9))
    assert not any(stream.queue for stream in machine.gpu.streams.values())
    check(backend, images(1))


def test_closing_on_a_gpu_that_failed(make: Make, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = make(driver)
    backend = machine.open()

    def broken(*_: object) -> None:
        raise NoContextError("cuMemFree")

    monkeypatch.setattr(machine.gpu, "release", broken)
    backend.close()
    assert not machine.gpu.reserved
    assert not any(machine.gpu.stacks.values())


# packages


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let the packages `names` look as if they were not installed."""
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)

    class Gate:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name.split(".")[0] in names:
                raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in names else sys.modules.get(name))
    monkeypatch.setattr(sys, "meta_path", [Gate(), *sys.meta_path])


def test_no_tensorrt(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make().write()
    hide(monkeypatch, "tensorrt")
    with pytest.raises(DependencyError, match=r"tensorrt cannot be imported.*pip install 'fiqa-edge\[tensorrt\]'"):
        Scorer(path)


def test_no_tensorrt_rtx(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(flavour="tensorrt_rtx").write(facts={"flavour": "tensorrt_rtx"})
    hide(monkeypatch, "tensorrt_rtx")
    with pytest.raises(DependencyError, match=r"fiqa-edge\[rtx\]"):
        Scorer(path)


def test_neither_pycuda_nor_cuda_python(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make().write()
    hide(monkeypatch, "pycuda", "cuda")
    with pytest.raises(DependencyError, match=r"neither pycuda nor cuda-python.*'fiqa-edge\[tensorrt\]'"):
        Scorer(path)


def test_pycuda_is_preferred(make: Make) -> None:
    machine = make("cuda-python")
    for name, package in fake_pycuda(machine.gpu).items():
        sys.modules[name] = package
    try:
        assert machine.open().info["memory"] == "pycuda, copied"
    finally:
        for name in ("pycuda", "pycuda.driver"):
            del sys.modules[name]


def test_no_gpu(make: Make, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = make(driver)

    def no_device(*_: object) -> object:
        if driver == "pycuda":
            raise sys.modules["pycuda.driver"].LogicError("cuInit failed: no CUDA-capable device is detected")
        raise RuntimeError("libcuda.so.1 cannot be found")

    package = sys.modules["pycuda.driver" if driver == "pycuda" else "cuda.bindings.driver"]
    monkeypatch.setattr(package, "init" if driver == "pycuda" else "cuInit", no_device)
    with pytest.raises(UnsupportedError, match=r"no NVIDIA GPU can be used \(.*\); run nvidia-smi"):
        machine.open()


def test_gpu_facts(make: Make, driver: str) -> None:
    make(driver, integrated=True)
    gpu = open_driver().gpu
    assert gpu == Gpu("Fake Orin", "8.7", "12.6", True)


# which backend runs what


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "opencv"])
def test_onnx_backends_take_no_plan(make: Make, name: str) -> None:
    path = make().write()
    with pytest.raises(UnsupportedError, match=r"is a TensorRT plan, backend .* use the .onnx file or --backend auto"):
        open_backend(name, path, read_card(path))


@pytest.mark.parametrize("name", ["auto", "tensorrt"])
def test_plans_go_to_tensorrt(make: Make, name: str) -> None:
    path = make().write()
    with Scorer(path, name) as scorer:
        assert scorer.backend.name == "tensorrt"


def test_tensorrt_takes_no_onnx(make: Make) -> None:
    path = make().write()
    card = replace(read_card(path), format="onnx")
    with pytest.raises(UnsupportedError, match="runs plans; fiqa-export ifqa --target tensorrt builds one"):
        open_backend("tensorrt", path, card)

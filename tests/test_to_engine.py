"""Plans of the flavour `tensorrt`, which cannot be installed here: built by a fake builder, run by the fake runtime."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from fake_gpu import FakeGpu
from fake_machine import Machine, Make, images, make_fixture  # noqa: F401
from fake_tensorrt import fake_tensorrt
from fake_trt_builder import (
    CACHE,
    BuilderFlag,
    DeviceType,
    ErrorCode,
    FakeBuilderMachine,
    HardwareCompatibilityLevel,
    MemoryPoolType,
    ProfilingVerbosity,
    add_builder,
)
from fiqa_export.build_target import PlanOptions, find_target, import_polygraphy
from fiqa_export.to_engine import build_plan, link_plan
from fiqa_export.trt_build import timing_cache_path
from fiqa_runtime.backends.device_memory import Gpu
from fiqa_runtime.backends.tensorrt import open_artefact
from fiqa_runtime.card import Card, read_card, write_card
from fiqa_runtime.errors import ArtefactError, DependencyError, FiqaError, InputError, UnsupportedError
from fiqa_runtime.files import sha256_file
from fiqa_runtime.spec import InputSpec, OutputSpec
from onnx import TensorProto, helper, numpy_helper

CARD = Card(
    model="ifqa",
    precision="fp16",
    format="onnx",
    input=InputSpec(8, 8, "RGB", (0.0,) * 3, (255.0,) * 3, "opencv-bilinear", "arcface-112"),
    outputs=(OutputSpec("score", "score"), OutputSpec("map", "map")),
    licence="none",
    source="none",
    max_batch=32,
    weights={"kind": "seeded", "description": "seeded"},
    parity={"budget": {"srcc": 0.9998}, "range": {"score": 1.0, "map": 1.0}, "max_abs": {"score": 0.1}, "passed": True},
    versions={"torch": "2.13"},
)


def write_onnx(path: Path, shape: tuple[str | int, ...] = ("batch", 3, 8, 8)) -> Path:
    """What every fake network computes: the mean of the image and the mean over its channels."""
    axes = {
        "all": numpy_helper.from_array(np.array([1, 2, 3]), "all"),
        "channel": numpy_helper.from_array(np.array([1]), "channel"),
    }
    nodes = [
        helper.make_node("ReduceMean", ["input", "channel"], ["map"], name="/mean_1"),
        helper.make_node("ReduceMean", ["map", "all"], ["mean"], name="/mean_11"),
        helper.make_node("Flatten", ["mean"], ["score"], name="/flat"),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("score", "map")]
    taken = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "graph", [taken], values, list(axes.values()))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


class Workshop:
    """A machine with the builder, an ONNX file, and a place for its plan."""

    def __init__(self, machine: Machine, seen: FakeBuilderMachine) -> None:
        self.machine, self.seen = machine, seen
        self.out = machine.folder / "out"
        self.out.mkdir()
        self.onnx = write_onnx(machine.folder / "ifqa.fp16.onnx")
        self.plan = self.out / "ifqa.fp16.plan"

    def build(self, card: Card = CARD, report: Callable[[str, int, int], None] | None = None, **options: Any) -> Card:
        asked = PlanOptions(**{"target": "tensorrt", **options})
        return build_plan(self.onnx, card, self.plan, asked, report or (lambda what, done, total: None))

    def check_nothing_left(self) -> None:
        assert list(self.out.iterdir()) == []
        self.machine.gpu.check_nothing_left()


Open = Callable[..., Workshop]


def forget_polygraphy() -> None:
    """So that it is imported again for another TensorRT."""
    for name in [each for each in sys.modules if each.split(".")[0] == "polygraphy"]:
        del sys.modules[name]


@pytest.fixture(name="workshop")
def workshop_fixture(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("POLYGRAPHY_USE_TENSORRT_RTX", "")
    forget_polygraphy()

    def build(strongly_typed: bool = True, **machine: Any) -> Workshop:
        made = make(**machine)
        return Workshop(made, add_builder(made.trt, made.gpu, strongly_typed))

    yield build
    forget_polygraphy()


@pytest.mark.parametrize(
    ("version", "flag"), [("10.3.0", True), ("10.13.2", True), ("11.1.0", True), ("11.4.1", False)]
)
def test_a_built_plan_runs_by_its_card_alone(workshop: Open, version: str, flag: bool) -> None:
    here = workshop(version=version, strongly_typed=flag)
    card = here.build()
    write_card(card, here.plan)
    assert here.seen.flags == (1 << 1 if flag else 0), "not strongly typed"
    assert not here.seen.asked.flags, "neither TF32 nor precision flags"
    backend = open_artefact(here.plan, read_card(here.plan), None)
    batch = images(41)
    session = ort.InferenceSession(str(here.onnx), providers=["CPUExecutionProvider"])
    for name, expected in zip(("score", "map"), session.run(["score", "map"], batch), strict=True):
        np.testing.assert_allclose(backend.run(batch)[name], expected, atol=1e-6)
    backend.close()
    here.machine.gpu.check_nothing_left()
    assert {path.name for path in here.out.iterdir()} == {"ifqa.fp16.plan", "ifqa.fp16.plan.json"}


def test_the_card_says_where_the_plan_comes_from(workshop: Open) -> None:
    here = workshop(integrated=True, capacity=1 << 30)
    card = here.build(optimisation=5)
    assert card.format == "plan"
    assert card.files == {here.plan.name: sha256_file(here.plan)}
    assert card.max_batch == 4 * 32
    assert card.parity == {"budget": {"srcc": 0.9998}, "range": {"score": 1.0, "map": 1.0}}
    assert card.versions == {"torch": "2.13", "tensorrt": "10.3.0"}
    assert card.plan == {
        "flavour": "tensorrt",
        "version": "10.3.0",
        "gpu": "Fake Orin",
        "compute_capability": "8.7",
        "driver": "12.6",
        "profile": {"input": {"min": [1, 3, 8, 8], "opt": [8, 3, 8, 8], "max": [32, 3, 8, 8]}},
        "flags": {
            "tf32": False,
            "version_compatible": False,
            "hardware_compatible": False,
            "dla": None,
            "workspace": 1 << 29,
            "optimisation": 5,
        },
        "layers": 3,
        "onnx_sha256": sha256_file(here.onnx),
    }
    kept = ("model", "precision", "input", "outputs", "licence", "source", "weights", "canaries", "canary_tolerance")
    assert all(getattr(card, name) == getattr(CARD, name) for name in kept)


@pytest.mark.parametrize(
    ("max_batch", "options", "expected"),
    [
        (32, {}, (1, 8, 32)),
        (64, {}, (1, 8, 32)),
        (8, {}, (1, 8, 8)),
        (2, {}, (1, 2, 2)),
        (1, {}, (1, 1, 1)),
        (2, {"batch": (2, 4, 16)}, (2, 4, 16)),
        (32, {"dla": 0}, (1, 1, 1)),
        (32, {"dla": 0, "batch": (8, 8, 8)}, (8, 8, 8)),
    ],
)
def test_batches(workshop: Open, max_batch: int, options: dict[str, Any], expected: tuple[int, int, int]) -> None:
    card = workshop().build(replace(CARD, max_batch=max_batch), **options)
    assert tuple(card.plan["profile"]["input"][key][0] for key in ("min", "opt", "max")) == expected
    assert card.max_batch == 4 * expected[2]


def test_a_network_of_any_size_gets_a_range_of_sizes(workshop: Open) -> None:
    here = workshop()
    write_onnx(here.onnx, ("batch", 3, "rows", "columns"))
    card = here.build(replace(CARD, input=replace(CARD.input, height=None, width=None)))
    assert card.plan["profile"]["input"] == {
        "min": [1, 3, 32, 32],
        "opt": [1, 3, 640, 640],
        "max": [1, 3, 2048, 2048],
    }


def test_a_network_of_one_size_may_not_have_a_free_one(workshop: Open) -> None:
    here = workshop()
    write_onnx(here.onnx, ("batch", 3, "rows", 8))
    with pytest.raises(UnsupportedError, match=r"input 'input' has no size in \(-1, 3, -1, 8\)"):
        here.build()
    here.check_nothing_left()


def test_a_file_of_one_batch(workshop: Open) -> None:
    here = workshop()
    write_onnx(here.onnx, (2, 3, 8, 8))
    for batch in (None, (1, 2, 2), (2, 2, 4)):
        with pytest.raises(InputError, match="takes batches of 2 alone; give --batch 2,2,2"):
            here.build(batch=batch)
    here.check_nothing_left()
    assert here.build(batch=(2, 2, 2)).plan["profile"]["input"]["min"][0] == 2


# what the builder is asked for


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ({}, set()),
        ({"version_compatible": True}, {BuilderFlag.VERSION_COMPATIBLE, BuilderFlag.EXCLUDE_LEAN_RUNTIME}),
        ({"hardware_compatible": True}, set()),
        ({"dla": 1}, {BuilderFlag.GPU_FALLBACK}),
    ],
)
def test_flags(workshop: Open, options: dict[str, Any], flags: set[BuilderFlag]) -> None:
    here = workshop()
    card = here.build(**options)
    asked = here.seen.asked
    assert asked.flags == flags
    level = (
        HardwareCompatibilityLevel.AMPERE_PLUS if "hardware_compatible" in options else HardwareCompatibilityLevel.NONE
    )
    assert asked.hardware_compatibility_level == level
    assert (asked.default_device_type, asked.DLA_core) == (
        (DeviceType.DLA, 1) if "dla" in options else (DeviceType.GPU, -1)
    )
    assert {name: card.plan["flags"][name] for name in options} == options


@pytest.mark.parametrize(
    ("integrated", "workspace", "expected"),
    [(False, None, None), (True, None, 500), (False, 77, 77), (True, 77, 77)],
)
def test_workspace(workshop: Open, integrated: bool, workspace: int | None, expected: int | None) -> None:
    here = workshop(integrated=integrated, capacity=1000)
    card = here.build(workspace=workspace)
    assert here.seen.asked.pools.get(MemoryPoolType.WORKSPACE) == expected
    assert card.plan["flags"]["workspace"] == expected


def test_optimisation_level(workshop: Open) -> None:
    here = workshop()
    here.build()
    assert here.seen.asked.builder_optimization_level == 3
    here.build(optimisation=0)
    assert here.seen.asked.builder_optimization_level == 0


# timing cache


def cache_of(here: Workshop) -> Path:
    path = timing_cache_path(Gpu(here.machine.gpu.name, "8.7", "12.6", False), "10.3.0")
    assert path
    return Path(path)


def test_timings_are_kept_per_gpu_and_version(workshop: Open) -> None:
    here = workshop()
    here.build()
    assert here.seen.caches == [b""]
    assert cache_of(here).read_bytes() == CACHE + b"Fake Orin:."
    here.build()
    assert here.seen.caches[1] == CACHE + b"Fake Orin:.", "not begun with what is kept"
    assert here.seen.combined == [CACHE + b"Fake Orin:."]
    assert cache_of(here).read_bytes() == CACHE + b"Fake Orin:.."
    name = "fake-orin-8.7-tensorrt-10.3.0.cache"
    assert {path.name for path in cache_of(here).parent.iterdir()} == {name, f"{name}.lock"}


@pytest.mark.parametrize("kept", [b"garbage", CACHE + b"Other GPU:."])
def test_damaged_and_foreign_timings_are_replaced(workshop: Open, kept: bytes) -> None:
    here = workshop()
    cache_of(here).write_bytes(kept)
    here.build()
    assert here.seen.caches[:2] == [kept, b""]
    assert here.seen.combined == []
    assert cache_of(here).read_bytes() == CACHE + b"Fake Orin:."
    cache_of(here).write_bytes(b"garbage")
    here.seen.faults.build = ["Error Code 10: Internal Error (no kernel)"]
    with pytest.raises(UnsupportedError, match="Error Code 10"):
        here.build()


def test_something_in_the_place_of_the_timings(workshop: Open) -> None:
    here = workshop()
    cache_of(here).mkdir()
    with pytest.raises(InputError, match=r"cannot keep .*cache \(Is a directory\); set XDG_CACHE_HOME to another"):
        here.build()
    here.check_nothing_left()


def test_timings_that_cannot_be_kept_cost_no_plan(workshop: Open, tmp_path: Path) -> None:
    here = workshop()
    (tmp_path / "cache").write_text("no folder")
    here.build()
    assert here.plan.is_file()


def test_a_failed_build_keeps_no_timings(workshop: Open) -> None:
    here = workshop()
    here.seen.faults.build = ["Error Code 10: Internal Error (no kernel)"]
    with pytest.raises(UnsupportedError):
        here.build()
    assert not cache_of(here).exists()


# Polygraphy


def test_it_is_imported_by_builds_alone() -> None:
    code = "import fiqa_export.to_engine, sys; print({'polygraphy', 'tensorrt', 'tensorrt_rtx'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_it_is_not_installed(workshop: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    here = workshop()
    monkeypatch.setitem(sys.modules, "polygraphy", None)
    with pytest.raises(DependencyError, match=r"pip install polygraphy, or 'fiqa-edge\[tensorrt\]'"):
        here.build()
    here.check_nothing_left()


def test_it_serves_one_tensorrt_per_process(workshop: Open) -> None:
    here = workshop()
    import_polygraphy("tensorrt_rtx")
    with pytest.raises(UnsupportedError, match="has Polygraphy for another TensorRT than tensorrt; build in a new one"):
        here.build()
    here.check_nothing_left()
    forget_polygraphy()
    here.build()


def test_it_prints_nothing_and_asks_for_no_details_in_the_plan(
    workshop: Open, capfd: pytest.CaptureFixture[str]
) -> None:
    here = workshop()
    here.build(version_compatible=True)
    assert here.seen.asked.profiling_verbosity == ProfilingVerbosity.LAYER_NAMES_ONLY
    here.seen.faults.build = ["Error Code 10"]
    with pytest.raises(UnsupportedError):
        here.build()
    assert capfd.readouterr() == ("", "")


# progress


def test_progress_goes_up_to_the_end(workshop: Open) -> None:
    told: list[tuple[str, int, int]] = []
    workshop().build(report=lambda *step: told.append(step))
    shares = [done for _, done, _ in told]
    assert {(what, total) for what, _, total in told} == {("ifqa: build fp16 plan (%)", 100)}
    assert shares == sorted(shares)
    assert shares[0] == 0 and shares[-1] == 100
    assert set(range(0, 100, 5)) <= set(shares), "every step of every phase moves the bar"


def test_ctrl_c_ends_a_build_and_leaves_nothing(workshop: Open) -> None:
    here = workshop()
    steps: list[int] = []

    def interrupt(what: str, done: int, total: int) -> None:
        if done >= 40:
            raise KeyboardInterrupt

    here.seen.faults.steps = steps.append
    with pytest.raises(KeyboardInterrupt):
        here.build(report=interrupt)
    assert steps[-1] < 10, "the build went on"
    here.check_nothing_left()


def test_ctrl_c_is_heard_in_every_callback(workshop: Open) -> None:
    """Python would raise KeyboardInterrupt where the signal finds it, for one in the logger, which swallows it."""
    here = workshop()
    steps: list[int] = []

    def interrupt(step: int) -> None:
        steps.append(step)
        if step == 3:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    here.seen.faults.steps = interrupt
    with pytest.raises(KeyboardInterrupt):
        here.build()
    assert steps == [0, 1, 2, 3]
    assert signal.getsignal(signal.SIGINT) is before
    here.check_nothing_left()
    here.seen.faults.steps = lambda step: None
    here.build()


def test_builds_in_another_thread(workshop: Open) -> None:
    """Signals belong to the main thread."""
    here = workshop()
    with ThreadPoolExecutor() as threads:
        assert threads.submit(here.build).result().format == "plan"
    here.machine.gpu.check_nothing_left()


# failures


@pytest.mark.parametrize(
    ("code", "text", "message"),
    [
        (
            ErrorCode.UNSUPPORTED_NODE,
            "false",
            r"tensorrt 10.3.0 has no node '/flat' \(Flatten\) of ifqa.fp16.onnx: it does",
        ),
        (ErrorCode.UNSUPPORTED_NODE, "no 5-D input", r"\(Flatten\) of ifqa.fp16.onnx: no 5-D input; install a newer"),
        (
            ErrorCode.INVALID_NODE,
            "Invalid Node - /flat\nError Code 4: API Usage Error (types Half and Float)\n[catchCudaError] (35)",
            r"refuses node '/flat' \(Flatten\) of ifqa.fp16.onnx: Error Code 4: .*Half and Float\); export it again",
        ),
    ],
)
def test_a_node_that_the_parser_refuses(workshop: Open, code: ErrorCode, text: str, message: str) -> None:
    here = workshop()
    here.seen.faults.node = ("Flatten", code, text)
    with pytest.raises(UnsupportedError, match=message) as caught:
        here.build()
    assert "\n" not in str(caught.value)
    here.check_nothing_left()


def test_an_onnx_file_cut_in_half(workshop: Open) -> None:
    here = workshop()
    here.onnx.write_bytes(here.onnx.read_bytes()[:100])
    with pytest.raises(ArtefactError, match=r"cannot read ifqa.fp16.onnx \(Failed to parse .*\); export it again"):
        here.build()
    here.check_nothing_left()


@pytest.mark.parametrize(
    ("errors", "message"),
    [
        (
            ["Error Code 10: Internal Error (Could not find any implementation for node /mean_11 + /flat.)"],
            r"cannot build node '/mean_11' \(ReduceMean\) of ifqa.fp16.onnx: Error Code 10: .*; install a newer",
        ),
        (["Error Code 9: something else"], r"tensorrt 10.3.0 cannot build ifqa.fp16.onnx: Error Code 9"),
        (["no kernel for /mean_111 and /other/flat"], r"cannot build ifqa.fp16.onnx: no kernel for /mean_111"),
        (["[catchCudaError] Error Code 1"], r"cannot build ifqa.fp16.onnx: it does not say why"),
        (
            ["Error Code 1: Myelin", "Error Code 2: OutOfMemory (Requested size was 99 bytes.)"],
            r"not enough memory to build ifqa.fp16.onnx for batches of 32 .* build for less: --batch 1,16,16",
        ),
        (["no tactics within workspace limit"], r"the workspace is too small .* give more with --workspace"),
    ],
)
def test_a_build_that_fails(workshop: Open, errors: list[str], message: str) -> None:
    here = workshop()
    here.seen.faults.build = errors
    with pytest.raises(UnsupportedError, match=message) as caught:
        here.build()
    assert "\n" not in str(caught.value)
    here.check_nothing_left()


def test_errors_of_an_earlier_build_are_forgotten(workshop: Open) -> None:
    here = workshop()
    for text in ("first", "second"):
        here.seen.faults.build = [text]
        with pytest.raises(UnsupportedError, match=text):
            here.build()


def test_a_failed_build_leaves_the_last_plan(workshop: Open) -> None:
    here = workshop()
    here.build()
    before = here.plan.read_bytes()
    here.seen.faults.build = ["Error Code 10"]
    with pytest.raises(UnsupportedError):
        here.build()
    assert here.plan.read_bytes() == before


def test_a_folder_that_is_not_there(workshop: Open) -> None:
    here = workshop()
    here.plan = here.out / "missing" / "ifqa.fp16.plan"
    with pytest.raises(InputError, match=r"cannot write .*: No such file or directory"):
        here.build()
    here.check_nothing_left()


def test_no_builder_on_this_driver(workshop: Open) -> None:
    here = workshop()
    here.machine.trt.refuse.add("builder")
    with pytest.raises(
        UnsupportedError, match=r"does not start on this GPU \(CUDA init.*35\); update the NVIDIA driver"
    ):
        here.build()
    here.check_nothing_left()


# refusals before anything is built


@pytest.mark.parametrize(
    ("options", "machine", "precision", "message"),
    [
        ({"batch": (8, 4, 32)}, {}, "fp16", "--batch 8,4,32 is no range"),
        ({"batch": (0, 1, 2)}, {}, "fp16", "--batch 0,1,2 is no range"),
        ({"batch": (1, 8, 5000)}, {}, "fp16", "from 1 to 4096"),
        ({"optimisation": 6}, {}, "fp16", "level 6 does not exist; choose 0 to 5"),
        ({"workspace": 0}, {}, "fp16", "give at least 1 MiB"),
        (
            {"target": "tensorrt-next"},
            {},
            "fp16",
            "unknown target 'tensorrt-next'; choose auto, tensorrt, tensorrt-rtx",
        ),
        ({}, {"version": "10.2.0"}, "fp16", "TensorRT 10.2.0 is installed, fiqa-edge builds with 10.3 to 11"),
        ({}, {"version": "12.0.0"}, "fp16", "TensorRT 12.0.0 is installed"),
        (
            {"hardware_compatible": True},
            {"integrated": True},
            "fp16",
            "can be built on Fake Orin, Jetson plans run on one",
        ),
        ({"dla": 0}, {}, "fp32", "a DLA computes in fp16 and int8 only; add --fp16 or --int8"),
        ({"dla": 0, "version_compatible": True}, {}, "int8", "leave out the compatible flags"),
        ({"dla": 0, "batch": (1, 8, 8)}, {}, "int8", "a DLA takes batches of one size"),
        ({"dla": 2}, {}, "int8", "sees 2 DLA cores here, there is no core 2; leave out --dla"),
        ({"dla": -1}, {}, "int8", "there is no core -1"),
    ],
)
def test_what_cannot_be_built(
    workshop: Open, options: dict[str, Any], machine: dict[str, Any], precision: str, message: str
) -> None:
    here = workshop(**machine)
    with pytest.raises(FiqaError) as caught:
        here.build(replace(CARD, precision=precision), **options)
    assert message in str(caught.value)
    assert caught.value.exit_code == 2
    assert here.seen.asked is None
    here.check_nothing_left()


def test_a_version_without_dla(workshop: Open) -> None:
    here = workshop(version="11.3.0")
    here.seen.dla_cores = None
    with pytest.raises(UnsupportedError, match="sees 0 DLA cores here"):
        here.build(dla=0)


def test_hardware_compatible_plans_start_with_ampere(workshop: Open) -> None:
    here = workshop()
    here.machine.gpu.capability = (7, 5)
    with pytest.raises(UnsupportedError, match="that takes an Ampere or later GPU; leave it out"):
        here.build(hardware_compatible=True)


# which TensorRT


@pytest.fixture(name="without")
def without_fixture(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets only the packages named look installed."""

    def install(**packages: Any) -> None:
        for name in ("tensorrt", "tensorrt_rtx"):
            monkeypatch.setitem(sys.modules, name, packages.get(name))
        monkeypatch.setattr("importlib.util.find_spec", lambda name: packages.get(name) or sys.modules.get(name))

    return install


def test_auto_without_any(without: Callable[..., None]) -> None:
    without()
    with pytest.raises(DependencyError, match=r"not installed; on Jetson apt install .*'fiqa-edge\[rtx\]'"):
        find_target("auto")
    for name in ("tensorrt", "tensorrt-rtx"):
        with pytest.raises(DependencyError, match="cannot be imported"):
            find_target(name)


def test_auto_prefers_tensorrt_on_a_gpu(make: Make, without: Callable[..., None]) -> None:
    machine = make()
    rtx = fake_tensorrt(FakeGpu(), "tensorrt_rtx", "1.7.1.116")
    without(tensorrt=machine.trt, tensorrt_rtx=rtx)
    target = find_target("auto")
    assert (str(target), target.driver is None) == ("tensorrt 10.3.0", False)
    assert str(find_target("tensorrt-rtx")) == "tensorrt_rtx 1.7.1.116"


def test_auto_takes_what_needs_no_gpu_where_there_is_none(
    make: Make, without: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = make("cuda-python")

    def no_device(*_: object) -> object:
        raise RuntimeError("libcuda.so.1 cannot be found")

    monkeypatch.setattr(sys.modules["cuda.bindings.driver"], "cuInit", no_device)
    without(tensorrt=machine.trt, tensorrt_rtx=fake_tensorrt(FakeGpu(), "tensorrt_rtx", "1.7.1.116"))
    target = find_target("auto")
    assert (target.flavour, target.driver) == ("tensorrt_rtx", None)
    without(tensorrt=machine.trt)
    for name in ("auto", "tensorrt"):
        with pytest.raises(UnsupportedError, match="no NVIDIA GPU can be used"):
            find_target(name)


# the link


def test_the_link_points_to_the_plan_built_last(tmp_path: Path) -> None:
    for precision in ("fp32", "fp16"):
        plan = tmp_path / f"ifqa.{precision}.plan"
        plan.write_text(precision)
        link = link_plan(plan, "ifqa")
        assert link == tmp_path / "ifqa.plan"
        assert str(link.readlink()) == plan.name, "not relative"
        assert link.read_text() == precision
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ifqa.fp16.plan", "ifqa.fp32.plan", "ifqa.plan"]


def test_a_folder_cannot_become_the_link(tmp_path: Path) -> None:
    (tmp_path / "ifqa.plan").mkdir()
    with pytest.raises(InputError, match=r"cannot link .*ifqa.plan .*use ifqa.fp16.plan by its own name"):
        link_plan(tmp_path / "ifqa.fp16.plan", "ifqa")
    assert [path.name for path in tmp_path.iterdir()] == ["ifqa.plan"]

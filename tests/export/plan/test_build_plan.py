"""Plans of the flavour `tensorrt`, which cannot be installed here: built by a fake builder, run by the fake runtime."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from fiqa_export.plan.build_plan import link_plan
from fiqa_export.plan.target import import_polygraphy
from fiqa_runtime.artefact.card import built_for, read_card, write_card
from fiqa_runtime.artefact.facts import Budget, PlanBuild, PlanFlags, Profile, Verdict
from fiqa_runtime.backends.tensorrt.backend import open_artefact
from fiqa_runtime.errors import DependencyError, InputError, UnsupportedError
from fiqa_runtime.system.files import sha256_file

from tests.help.gpu.fake_machine import images
from tests.help.gpu.fake_trt_builder import (
    BuilderFlag,
    DeviceType,
    HardwareCompatibilityLevel,
    MemoryPoolType,
    ProfilingVerbosity,
)
from tests.help.gpu.plan_workshop import CARD, Open, forget_polygraphy, write_onnx


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
    assert card.parity == Verdict(budget=Budget(srcc=0.9998, flips=0.01), range={"score": 1.0, "map": 1.0})
    assert card.versions == {"torch": "2.13", "tensorrt": "10.3.0"}
    assert card.plan == PlanBuild(
        flavour="tensorrt",
        version="10.3.0",
        gpu="Fake Orin",
        compute_capability="8.7",
        driver="12.6",
        profile={"input": Profile((1, 3, 8, 8), (8, 3, 8, 8), (32, 3, 8, 8))},
        flags=PlanFlags(
            tf32=False,
            version_compatible=False,
            hardware_compatible=False,
            dla=None,
            workspace=1 << 29,
            optimisation=5,
        ),
        layers=3,
        onnx_sha256=sha256_file(here.onnx),
    )
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
    assert tuple(shape[0] for shape in astuple(built_for(card).profile["input"])) == expected
    assert card.max_batch == 4 * expected[2]


def test_a_network_of_any_size_gets_a_range_of_sizes(workshop: Open) -> None:
    here = workshop()
    write_onnx(here.onnx, ("batch", 3, "rows", "columns"))
    card = here.build(replace(CARD, input=replace(CARD.input, height=None, width=None)))
    assert built_for(card).profile["input"] == Profile((1, 3, 32, 32), (1, 3, 640, 640), (1, 3, 2048, 2048))


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
    assert built_for(here.build(batch=(2, 2, 2))).profile["input"].min[0] == 2


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
    assert asdict(built_for(card).flags).items() >= options.items()


@pytest.mark.parametrize(
    ("integrated", "workspace", "expected"),
    [(False, None, None), (True, None, 500), (False, 77, 77), (True, 77, 77)],
)
def test_workspace(workshop: Open, integrated: bool, workspace: int | None, expected: int | None) -> None:
    here = workshop(integrated=integrated, capacity=1000)
    card = here.build(workspace=workspace)
    assert here.seen.asked.pools.get(MemoryPoolType.WORKSPACE) == expected
    assert built_for(card).flags.workspace == expected


def test_optimisation_level(workshop: Open) -> None:
    here = workshop()
    here.build()
    assert here.seen.asked.builder_optimization_level == 3
    here.build(optimisation=0)
    assert here.seen.asked.builder_optimization_level == 0


# Polygraphy


def test_it_is_imported_by_builds_alone() -> None:
    code = (
        "import fiqa_export.plan.build_plan, sys; print({'polygraphy', 'tensorrt', 'tensorrt_rtx'} & set(sys.modules))"
    )
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
            handler = signal.getsignal(signal.SIGINT)
            assert callable(handler)
            handler(signal.SIGINT, None)  # a real one may come late, after the test, and end the test process

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


# the link


def test_the_link_points_to_the_plan_built_last(tmp_path: Path) -> None:
    for precision in ("fp32", "fp16"):
        plan = tmp_path / f"ifqa.{precision}.plan"
        plan.write_text(precision)
        link = link_plan(plan, "ifqa")
        assert link == tmp_path / "ifqa.plan"
        assert str(link.readlink()) == plan.name, "not relative"
        assert link.read_text(encoding="utf-8") == precision
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ifqa.fp16.plan", "ifqa.fp32.plan", "ifqa.plan"]


def test_a_folder_cannot_become_the_link(tmp_path: Path) -> None:
    (tmp_path / "ifqa.plan").mkdir()
    with pytest.raises(InputError, match=r"cannot link .*ifqa.plan .*use ifqa.fp16.plan by its own name"):
        link_plan(tmp_path / "ifqa.fp16.plan", "ifqa")
    assert [path.name for path in tmp_path.iterdir()] == ["ifqa.plan"]

"""Options of a build that only a GPU can prove: `pytest -m gpu tests/gpu`."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fiqa_export.plan.build_plan import build_plan
from fiqa_export.plan.builder import timing_cache_path
from fiqa_export.plan.target import PlanOptions, Target, find_target, order_plan
from fiqa_runtime.artefact.card import read_card, write_card
from fiqa_runtime.backends.cuda.driver import Driver
from fiqa_runtime.errors import FiqaError, UnsupportedError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test

pytestmark = pytest.mark.gpu

Plans = Callable[[str, str], Path]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def tensorrt(driver: Driver) -> Target:
    """The flavour `tensorrt`; these options are not TensorRT-RTX's."""
    try:
        return find_target("tensorrt")
    except FiqaError as error:
        pytest.skip(str(error))


def built(onnx: Path, plan: Path, **options: Any) -> Path:
    card = read_card(onnx)
    order = order_plan(PlanOptions("tensorrt", **options), card.precision)
    write_card(build_plan(onnx, card, plan, order), plan)
    return plan


def check(plan: Path) -> None:
    with Scorer(plan) as scorer:
        result = self_test(scorer)
    assert result.passed, result


def test_the_command_builds_plan_card_and_link(target: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fiqa_export.cli", "ediffiqa-t", "--fp16", "--weights", "seeded"]
    result = subprocess.run(
        [*command, "--target", target, "--out", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    names = {path.name for path in tmp_path.iterdir()} - {"cache"}
    onnx, plan = "ediffiqa-t.fp16.onnx", "ediffiqa-t.fp16.plan"
    assert names == {onnx, f"{onnx}.json", plan, f"{plan}.json", "ediffiqa-t.plan"}
    check(tmp_path / "ediffiqa-t.plan")


def test_timings_are_used_again(tensorrt: Target, onnx_file: Plans, tmp_path: Path) -> None:
    assert tensorrt.driver
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        built(onnx_file("ediffiqa-t", "fp32"), tmp_path / "t.plan")
        seconds.append(time.perf_counter() - start)
    kept = timing_cache_path(tensorrt.driver.gpu, tensorrt.trt.__version__)
    assert kept and Path(kept).stat().st_size > 1000
    assert seconds[1] < seconds[0]


@pytest.mark.parametrize("level", [0, 5])
def test_optimisation_levels(tensorrt: Target, onnx_file: Plans, tmp_path: Path, level: int) -> None:
    check(built(onnx_file("ediffiqa-t", "fp16"), tmp_path / "t.plan", optimisation=level))


def test_a_small_workspace_is_enough_or_one_line(tensorrt: Target, onnx_file: Plans, tmp_path: Path) -> None:
    onnx = onnx_file("ifqa", "fp16")
    check(built(onnx, tmp_path / "ifqa.plan", workspace=1 << 30))
    try:
        check(built(onnx, tmp_path / "small.plan", workspace=1 << 12))
    except UnsupportedError as error:
        assert "\n" not in str(error)
        assert not (tmp_path / "small.plan").exists()


def test_a_version_compatible_plan(tensorrt: Target, onnx_file: Plans, tmp_path: Path) -> None:
    """Runs through the lean runtime with host code off."""
    plan = built(onnx_file("ifqa", "fp16"), tmp_path / "ifqa.plan", version_compatible=True)
    try:
        check(plan)
    except UnsupportedError as error:
        if "libnvinfer_lean" not in str(error):
            raise
        pytest.skip(str(error))


def test_a_hardware_compatible_plan(tensorrt: Target, onnx_file: Plans, tmp_path: Path) -> None:
    try:
        plan = built(onnx_file("ifqa", "fp16"), tmp_path / "ifqa.plan", hardware_compatible=True)
    except UnsupportedError as error:
        pytest.skip(str(error))
    check(plan)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_dla_plan(tensorrt: Target, onnx_file: Plans, tmp_path: Path, precision: str) -> None:
    try:
        plan = built(onnx_file("cr-fiqa-s", precision), tmp_path / "c.plan", dla=0)
    except UnsupportedError as error:
        if "DLA cores" not in str(error):
            raise
        pytest.skip(str(error))
    check(plan)


def test_batches_as_asked(tensorrt: Target, onnx_file: Plans, tmp_path: Path) -> None:
    """Above the largest, below the smallest, with a smallest of 4."""
    plan = built(onnx_file("ediffiqa-t", "fp32"), tmp_path / "t.plan", batch=(4, 4, 6))
    images = [seeded_image(index, 112, 112) for index in range(31)]
    with Scorer(plan) as scorer:
        together = scorer.score(images)
        alone = [float(scorer.score([image])[0]) for image in images]
    assert abs(together - alone).max() <= 1e-4

"""A GPU or a reason to skip; plans built once by fiqa-export; and, at the end, what all of it ran on."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from fiqa_export.pipeline import Options, export
from fiqa_export.plan.build_plan import build_plan
from fiqa_export.plan.target import PlanOptions, find_target, order_plan
from fiqa_export.verdict.recipe import RECIPES
from fiqa_runtime.artefact.card import built_for, read_card, write_card
from fiqa_runtime.artefact.spec import Precision
from fiqa_runtime.backends.cuda.driver import Driver
from fiqa_runtime.backends.cuda.open_driver import open_driver
from fiqa_runtime.errors import FiqaError

Plans = Callable[[str, Precision], Path]
RAN_ON: dict[str, str] = {}
BUILT: list[str] = []
"""Every plan that was built, with its layers, size and time."""
PACKAGES = ("tensorrt", "tensorrt-rtx", "pycuda", "cuda-bindings", "torch", "numpy", "opencv-python")


@pytest.fixture(scope="session")
def driver() -> Driver:
    """The GPU, as the backend sees it."""
    try:
        driver = open_driver()
    except FiqaError as error:
        pytest.skip(str(error))
    RAN_ON["GPU"] = f"{driver.gpu.name}, compute capability {driver.gpu.compute_capability}"
    RAN_ON["memory"] = "shared with the processor" if driver.gpu.integrated else "its own"
    RAN_ON["driver"] = f"for CUDA {driver.gpu.driver}, through {driver.name}"
    jetpack = Path("/etc/nv_tegra_release")
    if jetpack.is_file():
        RAN_ON["Jetson Linux"] = jetpack.read_text(encoding="utf-8").splitlines()[0]
    RAN_ON["system"] = f"{platform.platform()}, Python {platform.python_version()}"
    RAN_ON["packages"] = ", ".join(filter(None, map(_installed, PACKAGES)))
    return driver


@pytest.fixture(scope="session")
def target(driver: Driver) -> str:
    """`tensorrt` where it is installed, else `tensorrt-rtx`."""
    try:
        found = find_target("auto")
    except FiqaError as error:
        pytest.skip(str(error))
    RAN_ON["TensorRT"] = str(found)
    return found.flavour.replace("_", "-")


@pytest.fixture(scope="session")
def onnx_file(driver: Driver, tmp_path_factory: pytest.TempPathFactory) -> Plans:
    """`onnx_file(model, precision)`: a network with seeded weights as an ONNX file, made when it is first asked for."""
    out = tmp_path_factory.mktemp("engines")

    def make(model: str, precision: Precision) -> Path:
        path = out / f"{model}.{precision}.onnx"
        if not path.is_file():
            recipe = RECIPES[precision]
            export(model, "seeded", out, Options(recipe, calib="seeded" if precision == "int8" else None))
        return path

    return make


@pytest.fixture(scope="session")
def plan(onnx_file: Plans, target: str) -> Plans:
    """`plan(model, precision)`: the plan of that ONNX file, built when it is first asked for."""

    def make(model: str, precision: Precision) -> Path:
        onnx = onnx_file(model, precision)
        path = onnx.with_suffix(".plan")
        if not path.is_file():
            start = time.perf_counter()
            card = read_card(onnx)
            card = build_plan(onnx, card, path, order_plan(PlanOptions(target), card.precision))
            write_card(card, path)
            BUILT.append(
                f"{model} {precision}: {built_for(card).layers} layers, {path.stat().st_size / 1e6:.1f} MB, "
                f"{time.perf_counter() - start:.1f} s"
            )
        return path

    return make


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if RAN_ON:
        terminalreporter.section("ran on")
        for name, value in RAN_ON.items():
            terminalreporter.write_line(f"{name}: {value}")
    if BUILT:
        terminalreporter.section("built")
        for line in BUILT:
            terminalreporter.write_line(line)


def _installed(package: str) -> str | None:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return None

"""A GPU or a reason to skip; plans built once by fiqa-export; and, at the end, what all of it ran on."""

from __future__ import annotations

import importlib.util
import platform
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2
import pytest
from fiqa_runtime.backends.device_memory import Driver, open_driver
from fiqa_runtime.errors import FiqaError
from fiqa_runtime.seeded import seeded_image
from fiqa_runtime.zoo import MODELS

Plans = Callable[[str, str], Path]
RAN_ON: dict[str, str] = {}
PACKAGES = ("tensorrt", "tensorrt-rtx", "pycuda", "cuda-bindings", "polygraphy", "torch", "numpy", "opencv-python")
CALIBRATION_IMAGES = 32


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
    for package in ("tensorrt", "tensorrt_rtx"):
        if importlib.util.find_spec(package):
            return package.replace("_", "-")
    pytest.skip("neither tensorrt nor tensorrt_rtx is installed")


@pytest.fixture(scope="session")
def plan(target: str, tmp_path_factory: pytest.TempPathFactory) -> Plans:
    """`plan(model, precision)`: the plan of a network with seeded weights, built when it is first asked for."""
    out = tmp_path_factory.mktemp("engines")

    def build(model: str, precision: str) -> Path:
        path = out / f"{model}.{precision}.plan"
        if not path.is_file():
            options = [] if precision == "fp32" else [f"--{precision}"]
            if precision == "int8":
                options += ["--calib", str(_calibration_folder(model, tmp_path_factory))]
            command = [sys.executable, "-m", "fiqa_export.cli", model, *options, "--weights", "seeded"]
            result = subprocess.run(
                [*command, "--target", target, "--out", str(out)], capture_output=True, text=True, check=False
            )
            if result.returncode:
                pytest.fail(f"{' '.join(command[2:])}: {result.stderr.strip()}", pytrace=False)
        return path

    return build


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if RAN_ON:
        terminalreporter.section("ran on")
        for name, value in RAN_ON.items():
            terminalreporter.write_line(f"{name}: {value}")


def _calibration_folder(model: str, factory: pytest.TempPathFactory) -> Path:
    """Seeded images in the size that the network takes."""
    folder = factory.mktemp(f"calibration-{model}")
    spec = MODELS[model].input
    for index in range(CALIBRATION_IMAGES):
        image = seeded_image(1000 + index, spec.height or 320, spec.width or 320)
        cv2.imwrite(str(folder / f"{index:02}.png"), image)
    return folder


def _installed(package: str) -> str | None:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return None

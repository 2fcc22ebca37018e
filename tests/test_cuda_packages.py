"""The device-memory interface through the real pycuda and cuda-python, on a driver library that has no GPU."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGES = {"pycuda": "pycuda", "cuda-python": "cuda"}


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the stub as libcuda.so.1."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux")
    folder = tmp_path_factory.mktemp("stub")
    command = [compiler, "-shared", "-fPIC", "-o", folder / "libcuda.so.1", HERE / "stub_libcuda.c", "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("integrated", [False, True])
@pytest.mark.parametrize("package", PACKAGES)
def test_backend_through_the_real_package(package: str, integrated: bool, stub: Path, tmp_path: Path) -> None:
    if importlib.util.find_spec(PACKAGES[package]) is None:
        pytest.skip(f"{package} is not installed")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(stub)}
    if integrated:
        environment["STUB_INTEGRATED"] = "1"
    command = [sys.executable, HERE / "stub_run.py", package, tmp_path]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "stub: 0 left" in result.stderr
    assert "0 problems" in result.stderr
    assert "PyCUDA" not in result.stderr

"""The real packages without a GPU: pycuda and cuda-python on a stub driver library, tensorrt_rtx on none.

Each test skips where its package is not installed.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.backends.cuda import pycuda_driver
from fiqa_runtime.backends.tensorrt.backend import open_artefact
from fiqa_runtime.errors import UnsupportedError

from tests.help.gpu.fake_cuda import fake_pycuda
from tests.help.gpu.fake_gpu import FakeGpu
from tests.help.gpu.fake_tensorrt import OUTPUTS, PROFILE, fake_tensorrt, write_plan
from tests.help.places import ROOT, STUB_LIBCUDA

PACKAGES = {"pycuda": "pycuda", "cuda-python": "cuda"}


@pytest.fixture(scope="module")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the stub as libcuda.so.1."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux")
    folder = tmp_path_factory.mktemp("stub")
    command = [compiler, "-shared", "-fPIC", "-o", str(folder / "libcuda.so.1"), str(STUB_LIBCUDA), "-ldl"]
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
    command = [sys.executable, "-m", "tests.help.gpu.stub_run", package, str(tmp_path)]
    result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "stub: 0 left" in result.stderr
    assert "0 problems" in result.stderr
    assert "PyCUDA" not in result.stderr


@pytest.fixture(scope="module")
def rtx() -> Any:
    return pytest.importorskip("tensorrt_rtx")


@pytest.mark.parametrize("name", ["ILogger", "Runtime", "ICudaEngine", "IExecutionContext"])
def test_the_fake_asks_no_more_than_tensorrt_has(rtx: Any, name: str) -> None:
    fake, real = getattr(fake_tensorrt(FakeGpu()), name), getattr(rtx, name)
    made_up = {each for each in vars(fake) if not each.startswith("_")} - set(dir(real))
    assert not made_up


def test_attributes_and_constants_that_tensorrt_has(rtx: Any) -> None:
    assert {"num_io_tensors", "device_memory_size_v2"} < set(dir(rtx.ICudaEngine))
    assert rtx.Runtime(rtx.Logger()).engine_host_code_allowed is False
    assert "DLA_core" in dir(rtx.Runtime)
    assert rtx.DataType.FLOAT and rtx.TensorIOMode.INPUT is not None and rtx.EngineValidity.INVALID
    assert {"VERSION_MISMATCH", "UNSUPPORTED_CC"} < set(rtx.EngineInvalidityDiagnostics.__members__)
    assert rtx.ILogger.ERROR != rtx.ILogger.INTERNAL_ERROR


def test_real_plan_without_a_gpu_is_one_line(rtx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = FakeGpu()
    for name, package in fake_pycuda(gpu).items():
        monkeypatch.setitem(sys.modules, name, package)
    pycuda_driver._primary_context.cache_clear()
    facts = {"flavour": "tensorrt_rtx", "version": rtx.__version__, "compute_capability": None}
    path = write_plan(tmp_path, PROFILE, OUTPUTS, facts, {}, content=relu_plan(rtx))
    try:
        with pytest.raises(UnsupportedError, match=r"ifqa.fp16.plan does not fit this machine \(.*build it again"):
            open_artefact(path, read_card(path), None)
    finally:
        pycuda_driver._primary_context.cache_clear()
    gpu.check_nothing_left()


def relu_plan(rtx: Any) -> bytes:
    """A plan of one layer, for any GPU."""
    builder = rtx.Builder(rtx.Logger())
    network = builder.create_network(0)
    layer = network.add_activation(network.add_input("input", rtx.float32, (-1, 3, 8, 8)), rtx.ActivationType.RELU)
    network.mark_output(layer.get_output(0))
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    profile.set_shape("input", (1, 3, 8, 8), (2, 3, 8, 8), (4, 3, 8, 8))
    config.add_optimization_profile(profile)
    return bytes(builder.build_serialized_network(network, config))

"""Which TensorRT builds the plan."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
from fiqa_export.plan.target import find_target
from fiqa_runtime.errors import DependencyError, UnsupportedError

from tests.help.gpu.fake_gpu import FakeGpu
from tests.help.gpu.fake_machine import Make
from tests.help.gpu.fake_tensorrt import fake_tensorrt


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

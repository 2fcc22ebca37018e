"""Which packages and which GPU are there, and which backend takes plans."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.backends import open_backend
from fiqa_runtime.backends.cuda.driver import Gpu
from fiqa_runtime.backends.cuda.open_driver import open_driver
from fiqa_runtime.errors import DependencyError, UnsupportedError
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.gpu.fake_cuda import fake_pycuda
from tests.help.gpu.fake_machine import Make


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

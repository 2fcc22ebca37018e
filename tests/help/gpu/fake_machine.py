"""A fake machine with a GPU, and checks that the tests of the TensorRT backend and of plans share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.backends.cuda import cuda_python_driver, pycuda_driver
from fiqa_runtime.backends.tensorrt.backend import TensorRtBackend, open_artefact

from tests.help.gpu.fake_cuda import fake_cuda_python, fake_pycuda
from tests.help.gpu.fake_gpu import FakeGpu
from tests.help.gpu.fake_tensorrt import OUTPUTS, PROFILE, fake_tensorrt, reference, write_plan

DRIVERS = {"pycuda": fake_pycuda, "cuda-python": fake_cuda_python}


@dataclass
class Machine:
    """A fake GPU with its packages, and a folder for plans."""

    gpu: FakeGpu
    folder: Path
    trt: Any

    def write(
        self,
        profile: dict[str, dict[str, list[int]]] | None = None,
        outputs: tuple[str, ...] = OUTPUTS,
        facts: dict[str, Any] | None = None,
        flags: dict[str, Any] | None = None,
        **plan: Any,
    ) -> Path:
        """A plan with its card; `facts` and `flags` change what the card says, `plan` what is in the plan."""
        return write_plan(self.folder, profile or PROFILE, outputs, facts or {}, flags or {}, **plan)

    def open(self, **settings: Any) -> TensorRtBackend:
        path = self.write(**settings)
        return open_artefact(path, read_card(path), None)


Make = Callable[..., Machine]


@contextmanager
def machines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """A builder of machines: driver package, schedule, memory, TensorRT flavour and version; plans go to `folder`."""

    def build(driver: str = "pycuda", flavour: str = "tensorrt", version: str = "10.3.0", **gpu: Any) -> Machine:
        fake = FakeGpu(**gpu)
        for name in ("pycuda", "pycuda.driver", "cuda", "cuda.bindings", "cuda.bindings.driver"):
            monkeypatch.delitem(sys.modules, name, raising=False)
        for name, package in DRIVERS[driver](fake).items():
            monkeypatch.setitem(sys.modules, name, package)
        trt = fake_tensorrt(fake, flavour, version)
        monkeypatch.setitem(sys.modules, flavour, trt)
        for module in (pycuda_driver, cuda_python_driver):
            module._primary_context.cache_clear()
        return Machine(fake, folder, trt)

    yield build
    for module in (pycuda_driver, cuda_python_driver):
        module._primary_context.cache_clear()


def images(count: int, seed: int = 0, size: int = 8) -> dict[str, np.ndarray]:
    return {"input": np.random.default_rng(seed).random((count, 3, size, size), np.float32)}


def check(backend: TensorRtBackend, inputs: dict[str, np.ndarray], outputs: tuple[str, ...] = OUTPUTS) -> None:
    """The backend gives what the network gives."""
    results = backend.run(inputs)
    expected = reference(inputs, outputs)
    assert list(results) == list(expected)
    for name in expected:
        assert results[name].dtype == np.float32
        np.testing.assert_array_equal(results[name], expected[name])

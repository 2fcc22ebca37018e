"""Run the backend through a real pycuda or cuda-python on stub_libcuda, in a process of its own.

Arguments: the package and a folder for the plan. TensorRT is the fake, but it computes on the addresses that it is
given. Started by tests/runtime/backends/cuda/test_packages.py, with the stub on the library path.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.backends.tensorrt.backend import TensorRtBackend, open_artefact
from fiqa_runtime.errors import UnsupportedError
from numpy.typing import NDArray

from tests.help.gpu.fake_tensorrt import OUTPUTS, PROFILE, fake_tensorrt, reference, write_plan


class StubGpu:
    """What the fake TensorRT asks of a FakeGpu, on addresses of this process."""

    def __init__(self) -> None:
        self.streams: dict[int, int] = defaultdict(int)
        self.reserved: dict[int, int] = {}
        self.log: list[object] = []
        self.users: dict[int, int] = {}

    def while_executing(self) -> None:
        """Nothing else happens meanwhile."""

    def call(self, name: str, *details: Any) -> None:
        self.users.clear()

    def reserve(self, owner: int, size: int) -> None:
        self.reserved[owner] = size

    def submit(self, stream: int, work: Callable[[], object]) -> None:
        work()

    def memory_at(self, address: int, size: int) -> NDArray[np.uint8]:
        return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))


def check(backend: TensorRtBackend, count: int) -> None:
    inputs = {"input": np.random.default_rng(count).random((count, 3, 8, 8), np.float32)}
    expected = reference(inputs, OUTPUTS)
    for name, array in backend.run(inputs).items():
        np.testing.assert_array_equal(array, expected[name])


def main(package: str, folder: Path) -> None:
    if package == "cuda-python":
        sys.modules["pycuda"] = None  # type: ignore[assignment]
    sys.setdlopenflags(os.RTLD_LAZY)  # pycuda names functions that the stub has not
    gpu = StubGpu()
    sys.modules["tensorrt"] = fake_tensorrt(gpu)  # type: ignore[arg-type]
    path = write_plan(folder, PROFILE, OUTPUTS, {"gpu": "Stub GPU"}, {})

    def opened() -> TensorRtBackend:
        return open_artefact(path, read_card(path), None)

    backend = opened()
    kind = "mapped" if "STUB_INTEGRATED" in os.environ else "copied"
    assert backend.info["memory"] == f"{package}, {kind}", backend.info
    for count in (1, 4, 9, 21):
        check(backend, count)
    threads = [threading.Thread(target=check, args=(backend, count)) for count in (2, 5, 13)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    closer = threading.Thread(target=backend.close)
    closer.start()
    closer.join()

    large = {"input": {"min": [1, 3, 8, 8], "opt": [1, 3, 8, 8], "max": [512, 3, 8, 8]}}
    path = write_plan(folder, large, OUTPUTS, {"gpu": "Stub GPU"}, {})
    try:
        opened()
    except UnsupportedError as error:
        assert "MiB wanted, 1.0 MiB free" in str(error)
    else:
        raise AssertionError("more memory than there is was given")

    path = write_plan(folder, PROFILE, OUTPUTS, {"gpu": "Stub GPU"}, {})
    holder = [opened()]
    dropper = threading.Thread(target=holder.clear)
    dropper.start()
    dropper.join()
    assert not gpu.reserved
    check(opened(), 3)
    globals()["open until the end"] = opened()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))

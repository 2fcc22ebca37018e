"""Proof that the checks of the TensorRT backend can fail: each mutant leaves something out and must be noticed."""

from __future__ import annotations

import threading
from contextlib import nullcontext

import pytest
from fiqa_runtime.backends.cuda import pycuda_driver
from fiqa_runtime.backends.tensorrt import backend as tensorrt
from fiqa_runtime.backends.tensorrt.buffers import Slot
from fiqa_runtime.backends.tensorrt.engine import Engine
from fiqa_runtime.errors import FiqaError

from tests.help.gpu.fake_gpu import GpuFaultError
from tests.help.gpu.fake_machine import Machine, Make, check, images
from tests.help.limits import HANGS
from tests.help.threads import in_threads


def nothing(*_: object, **__: object) -> None:
    return None


def one_image(shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {name: (1, *shape[1:]) for name, shape in shapes.items()}


PLACE = Engine.place


def place_once(engine: Engine, addresses: dict[str, int]) -> None:
    if not engine._context.addresses:
        PLACE(engine, addresses)


STREAM, EVENT = pycuda_driver._Stream, pycuda_driver._Event
MUTANTS: dict[str, tuple[object, str, object]] = {
    "the computation does not wait for the upload": (STREAM, "wait", nothing),
    "results are read before they are there": (EVENT, "synchronize", nothing),
    "no marks in the streams": (EVENT, "record", nothing),
    "inputs stay on the host": (Slot, "upload", nothing),
    "outputs stay on the GPU": (Slot, "download", nothing),
    "addresses are never set": (Engine, "place", nothing),
    "addresses are set once only": (Engine, "place", place_once),
    "nothing is executed": (Engine, "execute", nothing),
    "uploads come from other memory": (
        pycuda_driver.PycudaDriver,
        "upload",
        lambda self, address, source, stream: self._cuda.memcpy_htod_async(address, source.copy(), stream.inner),
    ),
    "the context is not pushed": (tensorrt, "active", lambda driver: nullcontext()),
    "buffers for one image": (tensorrt, "Slot", lambda driver, shapes, *rest: Slot(driver, one_image(shapes), *rest)),
    "device memory is never freed": (pycuda_driver._DeviceBlock, "free", nothing),
    "page-locked memory is never freed": (pycuda_driver._HostBlock, "free", nothing),
    "streams are never freed": (STREAM, "free", nothing),
    "the engine is never dropped": (Engine, "close", nothing),
}


def whole_life(machine: Machine) -> None:
    backend = machine.open()
    held = [backend._engine, backend._slots, backend._stream, backend._uploads]
    check(backend, images(21))
    backend.close()
    machine.gpu.check_nothing_left()
    del held


def test_without_a_mutant_all_is_well(make: Make, driver: str, schedule: str) -> None:
    whole_life(make(driver, schedule=schedule))


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_are_noticed(make: Make, mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*MUTANTS[mutant])
    noticed = 0
    for schedule in ("late", "early"):
        try:
            whole_life(make(schedule=schedule))
        except (AssertionError, FiqaError, ValueError):
            noticed += 1
    assert noticed


def test_a_missing_lock_is_noticed(make: Make) -> None:
    """One thread stays in the execution context until another one has come in, and out again with an error."""
    machine, left = make(), threading.Event()
    backend = machine.open()
    backend._lock = nullcontext()  # type: ignore[assignment]
    machine.gpu.while_executing = lambda: left.wait(HANGS)

    def work(index: int) -> None:
        try:
            check(backend, images(9, seed=index))
        finally:
            left.set()

    errors = in_threads(4, work)
    assert any(isinstance(error, GpuFaultError) for error in errors)


def test_a_single_slot_without_waiting_is_noticed(make: Make) -> None:
    backend = make(schedule="early").open()
    backend._slots = [backend._slots[0], backend._slots[0]]
    with pytest.raises(AssertionError):
        check(backend, images(21))

"""A GPU or TensorRT that fails: while memory is taken, while a plan is opened, while it runs and when it is closed."""

from __future__ import annotations

from typing import Any

import pytest
from fiqa_runtime.errors import ArtefactError, FiqaError, UnsupportedError

from tests.help.gpu.fake_gpu import NoContextError
from tests.help.gpu.fake_machine import Make, check, images

INPUT, MAP = 4 * 3 * 8 * 8 * 4, 4 * 1 * 8 * 8 * 4
"""Bytes of four images and of their maps."""


@pytest.mark.parametrize("integrated", [False, True])
def test_failed_buffers_say_what_would_fit(make: Make, driver: str, integrated: bool) -> None:
    buffers = 2 * (INPUT + 4 * 4 + MAP)
    machine = make(driver, integrated=integrated, capacity=100 + 1000 + buffers - 1)
    with pytest.raises(UnsupportedError) as caught:
        machine.open()
    assert f"batches of 4: {(1000 + buffers) / 2**20:.1f} MiB wanted, " in str(caught.value)
    assert f"{(999 + buffers) / 2**20:.1f} MiB free" in str(caught.value)
    assert "batches of about 3 would fit: fiqa-export ifqa --fp16 --target tensorrt --batch 1,3,3" in str(caught.value)
    machine.gpu.check_nothing_left()
    machine.gpu.capacity += 1
    machine.open().close()


@pytest.mark.parametrize(
    ("room", "advice"),
    [(0.99, "batches of about 3"), (0.5, "batches of about 2"), (0.26, "batches of about 1"), (0.2, "not one image")],
)
def test_failed_activations_say_what_would_fit(make: Make, driver: str, room: float, advice: str) -> None:
    wanted = 400 << 20
    machine = make(driver, capacity=100 + int(wanted * room))
    with pytest.raises(UnsupportedError, match=rf"400.0 MiB wanted, {400 * room:.1f} MiB free.*{advice}"):
        machine.open(activations=wanted)
    machine.gpu.check_nothing_left()


def test_failed_weights(make: Make, driver: str) -> None:
    machine = make(driver, capacity=1 << 20)
    with pytest.raises(UnsupportedError, match=r"not enough GPU memory.* 1.0 MiB free.*not one image fits"):
        machine.open(weights=2 << 20)
    machine.gpu.check_nothing_left()


@pytest.mark.parametrize(
    ("refused", "plan", "kind", "message"),
    [
        ("deserialize", {}, ArtefactError, r"10.3.0 cannot load ifqa.fp16.plan \(Error Code 1: Serialization\); build"),
        ("runtime", {}, UnsupportedError, r"10.3.0 does not start on this GPU \(CUDA init.*35\); update the NVIDIA"),
        ("shape", {}, ArtefactError, r"cannot take 'input' of shape \(4, 3, 8, 8\) in ifqa.fp16.plan"),
        (
            "",
            {"types": {"map": "int64"}},
            UnsupportedError,
            "another type than float32; build it again: fiqa-export",
        ),
        ("", {"unbounded": ["map"]}, UnsupportedError, "'map' of no fixed shape; build it again: fiqa-export"),
    ],
)
def test_tensorrt_refuses_to_open(
    make: Make, refused: str, plan: dict[str, Any], kind: type[FiqaError], message: str
) -> None:
    machine = make()
    machine.trt.refuse.add(refused)
    with pytest.raises(kind, match=message) as caught:
        machine.open(**plan)
    assert "\n" not in str(caught.value)
    machine.gpu.check_nothing_left()


@pytest.mark.parametrize("refused", ["execute", "address"])
def test_a_failed_run_is_one_line_and_leaves_the_buffers_at_rest(make: Make, schedule: str, refused: str) -> None:
    machine = make(schedule=schedule)
    backend = machine.open()
    machine.trt.refuse.add(refused)
    with pytest.raises(ArtefactError, match=r"10.3.0 cannot .*ifqa.fp16.plan \(.*build it again here") as caught:
        backend.run(images(9))
    assert "\n" not in str(caught.value)
    assert not any(stream.queue for stream in machine.gpu.streams.values())
    machine.trt.refuse.clear()
    check(backend, images(9, seed=2))
    backend.close()
    machine.gpu.check_nothing_left()


def test_a_driver_error_while_running(make: Make, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = make(driver)
    backend = machine.open()

    def broken(event: object) -> None:
        raise NoContextError("cuEventSynchronize")

    with monkeypatch.context() as patch:
        patch.setattr(machine.gpu, "synchronize_event", broken)
        with pytest.raises(ArtefactError, match=r"failed on Fake Orin \(cuEventSynchronize.*start again"):
            backend.run(images(9))
    assert not any(stream.queue for stream in machine.gpu.streams.values())
    check(backend, images(1))


def test_closing_on_a_gpu_that_failed(make: Make, driver: str, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = make(driver)
    backend = machine.open()

    def broken(*_: object) -> None:
        raise NoContextError("cuMemFree")

    monkeypatch.setattr(machine.gpu, "release", broken)
    backend.close()
    assert not machine.gpu.reserved
    assert not any(machine.gpu.stacks.values())

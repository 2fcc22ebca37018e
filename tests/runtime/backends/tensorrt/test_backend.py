"""The TensorRT backend on a recording fake of the driver and of TensorRT: order, sizes, splitting, threads, freeing.

What a fake cannot prove stands in tests/gpu/README.md. Everything that depends on waiting runs with the GPU's work
done as late and as early as it may be; test_mutants.py shows that the fake notices what is left out.
"""

from __future__ import annotations

import threading
import weakref

import numpy as np
import pytest
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.backends.tensorrt.backend import open_artefact
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import prepare
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.gpu.fake_machine import Make, check, images
from tests.help.gpu.fake_tensorrt import OUTPUTS, PROFILE, reference
from tests.help.threads import in_threads

INPUT, MAP = 4 * 3 * 8 * 8 * 4, 4 * 1 * 8 * 8 * 4
"""Bytes of the largest batch."""


def test_one_batch_call_by_call(make: Make, driver: str) -> None:
    machine = make(driver)
    backend = machine.open(activations=5000)
    opening = [entry for entry in machine.gpu.log if entry[0] not in ("push", "pop", "mem_info")]
    buffers = [
        entry for size in (INPUT, 4 * 4, MAP) for entry in (("host_alloc", size, "copied"), ("device_alloc", size))
    ]
    events = [("event",), ("event",)]
    plan = (machine.folder / "ifqa.fp16.plan").read_bytes()
    assert opening == [
        ("deserialize", len(plan), False, -1),
        ("create_context", 5000),
        ("shape", "input", (4, 3, 8, 8)),
        *buffers,
        *events,
        *buffers,
        *events,
        ("stream",),
        ("stream",),
    ]
    machine.gpu.log.clear()
    check(backend, images(3))
    thread = threading.get_ident()
    compute, uploads = 1, 2
    assert machine.gpu.log == [
        ("push", thread),
        ("shape", "input", (3, 3, 8, 8)),
        *[("address", name) for name in ("input", *OUTPUTS)],
        ("h2d", INPUT * 3 // 4, uploads),
        ("record", uploads),
        ("wait", compute),
        ("execute", compute, {"input": (3, 3, 8, 8)}),
        ("d2h", 3 * 4, compute),
        ("d2h", MAP * 3 // 4, compute),
        ("record", compute),
        ("sync_event",),
        ("pop", thread),
    ]
    machine.gpu.log.clear()
    backend.close()
    assert machine.gpu.names() == [
        "push",
        *["stream_free"] * 2,
        *[*["event_free"] * 2, *["device_free", "host_free"] * 3] * 2,
        "context_free",
        "engine_free",
        "pop",
    ]
    machine.gpu.check_nothing_left()


def test_buffers_are_allocated_once(make: Make, driver: str) -> None:
    machine = make(driver)
    backend = machine.open()
    machine.gpu.log.clear()
    for count in (1, 4, 2, 9):
        check(backend, images(count))
    assert not machine.gpu.names("device_alloc", "host_alloc", "stream", "event", "create_context")


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 9, 21])
@pytest.mark.parametrize("integrated", [False, True])
def test_any_batch(make: Make, driver: str, schedule: str, integrated: bool, count: int) -> None:
    machine = make(driver, schedule=schedule, integrated=integrated)
    backend = machine.open()
    machine.gpu.log.clear()
    check(backend, images(count))
    sizes = [entry[2]["input"][0] for entry in machine.gpu.log if entry[0] == "execute"]
    assert sizes == [4] * (count // 4) + [count % 4] * bool(count % 4)
    backend.close()
    machine.gpu.check_nothing_left()


def test_the_next_part_is_uploaded_while_the_gpu_computes(make: Make, driver: str) -> None:
    machine = make(driver)
    backend = machine.open()
    machine.gpu.log.clear()
    check(backend, images(16))
    order = machine.gpu.names("h2d", "execute", "sync_event")
    assert order == ["h2d", "execute", "h2d", "execute", *["sync_event", "h2d", "execute"] * 2, *["sync_event"] * 2]
    assert {entry[2] for entry in machine.gpu.log if entry[0] == "h2d"} == {2}
    assert {entry[1] for entry in machine.gpu.log if entry[0] == "execute"} == {1}


def test_integrated_gpu_maps_instead_of_copying(make: Make, driver: str) -> None:
    machine = make(driver, integrated=True)
    backend = machine.open()
    check(backend, images(9))
    assert not machine.gpu.names("h2d", "d2h", "device_alloc")
    assert {entry[2] for entry in machine.gpu.log if entry[0] == "host_alloc"} == {"mapped"}
    assert backend.info["memory"] == f"{driver}, mapped"


def test_batches_below_the_smallest_are_filled_up(make: Make, schedule: str) -> None:
    machine = make(schedule=schedule)
    backend = machine.open(profile={"input": {**PROFILE["input"], "min": [3, 3, 8, 8]}})
    check(backend, images(4))
    check(backend, images(1))
    check(backend, images(5))
    assert [entry[2]["input"][0] for entry in machine.gpu.log if entry[0] == "execute"] == [4, 3, 4, 3]


def test_fixed_batch(make: Make) -> None:
    machine = make()
    backend = machine.open(profile={"input": {key: [2, 3, 8, 8] for key in ("min", "opt", "max")}})
    check(backend, images(5))
    assert [entry[2]["input"][0] for entry in machine.gpu.log if entry[0] == "execute"] == [2, 2, 2]


def test_two_inputs_and_one_output(make: Make, driver: str, schedule: str) -> None:
    landmarks = {"landmarks": {"min": [1, 500], "opt": [2, 500], "max": [4, 500]}}
    machine = make(driver, schedule=schedule)
    backend = machine.open(profile={**PROFILE, **landmarks}, outputs=("score",))
    rng = np.random.default_rng(1)
    inputs = {**images(7), "landmarks": rng.random((7, 500), np.float32)}
    check(backend, inputs, ("score",))
    backwards = dict(reversed(inputs.items()))
    np.testing.assert_array_equal(backend.run(backwards)["score"], reference(inputs, ("score",))["score"])
    with pytest.raises(InputError, match=r"takes input, landmarks, not input"):
        backend.run(images(2))
    with pytest.raises(InputError, match="as many of every input"):
        backend.run({**inputs, "landmarks": inputs["landmarks"][:3]})


def test_other_sizes_within_the_profile(make: Make, schedule: str) -> None:
    limits = {"input": {"min": [1, 3, 4, 4], "opt": [1, 3, 8, 8], "max": [4, 3, 16, 16]}}
    backend = make(schedule=schedule).open(profile=limits)
    for size in (4, 8, 16):
        check(backend, images(6, size=size))
    with pytest.raises(InputError, match=r"takes 'input' of 3x4x4 to 3x16x16, not 3x17x16; feed"):
        backend.run({"input": np.zeros((1, 3, 17, 16), np.float32)})


@pytest.mark.parametrize("shape", [(1, 3, 9, 8), (1, 3, 8), (1, 1, 8, 8), (1, 3, 8, 8, 1), (1, 3, 7, 8), (1,)])
def test_input_beyond_the_profile(make: Make, shape: tuple[int, ...]) -> None:
    machine = make()
    backend = machine.open()
    machine.gpu.log.clear()
    with pytest.raises(InputError, match=r"ifqa.fp16.plan takes 'input' of 3x8x8, not .*; feed it what its card says"):
        backend.run({"input": np.zeros(shape, np.float32)})
    assert not machine.gpu.log


def test_empty_batch(make: Make) -> None:
    with pytest.raises(InputError, match="at least one image"):
        make().open().run(images(0))


def test_results_belong_to_the_caller(make: Make) -> None:
    backend = make().open()
    first = backend.run(images(2))
    kept = {name: array.copy() for name, array in first.items()}
    backend.run(images(2, seed=1))
    backend.close()
    for name, array in first.items():
        np.testing.assert_array_equal(array, kept[name])


def test_scorer_on_a_plan(make: Make, driver: str, schedule: str) -> None:
    machine = make(driver, schedule=schedule)
    crops = [seeded_image(index, 8, 8) for index in range(11)]
    with Scorer(machine.write()) as scorer:
        assert scorer.backend.name == "tensorrt"
        assert scorer.backend.info["version"] == "tensorrt 10.3.0"
        assert scorer.backend.info["device"] == "Fake Orin (8.7)"
        assert scorer.backend.info["arithmetic"] == "float16"
        expected = reference({"input": prepare(crops, scorer.card.input)}, OUTPUTS)
        np.testing.assert_array_equal(scorer.score(crops), expected["score"][:, 0])
        np.testing.assert_array_equal(scorer.map(crops), expected["map"][:, 0])
    machine.gpu.check_nothing_left()


# threads


def test_several_threads(make: Make, driver: str, schedule: str) -> None:
    machine = make(driver, schedule=schedule)
    backend = machine.open()
    machine.gpu.log.clear()
    assert in_threads(4, lambda index: check(backend, images(5 + index, seed=index))) == []
    pushes = [entry[1] for entry in machine.gpu.log if entry[0] == "push"]
    assert len(set(pushes)) == 4
    assert sorted(pushes) == sorted(entry[1] for entry in machine.gpu.log if entry[0] == "pop")
    assert not any(machine.gpu.stacks.values())


def test_a_scorer_in_each_thread(make: Make, driver: str, schedule: str) -> None:
    machine = make(driver, schedule=schedule)
    path = machine.write()

    def work(index: int) -> None:
        backend = open_artefact(path, read_card(path), None)
        check(backend, images(9, seed=index))
        backend.close()

    assert in_threads(4, work) == []
    machine.gpu.check_nothing_left()


def test_a_context_of_the_caller_stays_current(make: Make, driver: str) -> None:
    machine = make(driver)
    backend = machine.open()
    machine.gpu.push()
    check(backend, images(2))
    with pytest.raises(InputError):
        backend.run(images(0))
    backend.close()
    assert machine.gpu.stacks[threading.get_ident()] == ["primary"]


def test_close_in_another_thread_frees_everything(make: Make, driver: str) -> None:
    machine = make(driver)
    backend = machine.open()
    assert in_threads(1, lambda _: backend.close()) == []
    machine.gpu.check_nothing_left()


def test_garbage_collected_in_another_thread(make: Make, driver: str) -> None:
    machine = make(driver)
    holder = [machine.open()]
    assert in_threads(1, lambda _: holder.clear()) == []
    machine.gpu.check_nothing_left()


# closing


def test_close_twice_and_run_after(make: Make, driver: str) -> None:
    machine = make(driver)
    backend = machine.open()
    backend.close()
    machine.gpu.check_nothing_left()
    machine.gpu.log.clear()
    backend.close()
    assert not machine.gpu.log
    with pytest.raises(InputError, match=r"ifqa.fp16.plan is closed; open it again"):
        backend.run(images(1))


def test_garbage_collection_frees_everything(make: Make, driver: str) -> None:
    machine = make(driver)
    backend = machine.open()
    check(backend, images(5))
    watched = weakref.ref(backend)
    del backend
    assert watched() is None, "a reference cycle keeps the backend until a collection"
    machine.gpu.check_nothing_left()


def test_several_plans_at_once(make: Make, driver: str) -> None:
    machine = make(driver)
    first, second = machine.open(), machine.open()
    check(first, images(5))
    first.close()
    check(second, images(5, seed=1))
    second.close()
    machine.gpu.check_nothing_left()


def test_raw_input_goes_as_bytes(make: Make, driver: str) -> None:
    """uint8 crops (N, H, W, 3) take a quarter of the memory and of the copies, and nothing else is taken for them."""
    profile = {"input": {"min": [1, 8, 8, 3], "opt": [2, 8, 8, 3], "max": [4, 8, 8, 3]}}
    machine = make(driver)
    backend = machine.open(profile=profile, outputs=("score",), types={"input": "uint8"})
    assert ("host_alloc", INPUT // 4, "copied") in machine.gpu.log
    crops = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
    check(backend, {"input": crops}, ("score",))
    assert [entry[1] for entry in machine.gpu.log if entry[0] == "h2d"] == [INPUT // 4, INPUT // 8]
    with pytest.raises(InputError, match="as uint8, not float32"):
        backend.run({"input": crops.astype(np.float32)})

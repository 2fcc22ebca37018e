"""TensorRT on an NVIDIA GPU: runs the plans of `tensorrt` and `tensorrt_rtx` that fiqa-export builds.

A batch goes through page-locked memory to the GPU, the network runs, the outputs come back. Batches above the plan's
maximum are split: two sets of buffers take turns, so that the next part is prepared and uploaded while the GPU
computes. TensorRT and pycuda (or cuda-python) are imported when a plan is opened.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.backends.base import Arrays, Inputs
from fiqa_runtime.backends.cuda.driver import Driver, Shape, active
from fiqa_runtime.backends.cuda.open_driver import open_driver
from fiqa_runtime.backends.tensorrt.buffers import Slot, nbytes, out_of_memory
from fiqa_runtime.backends.tensorrt.engine import Engine, import_tensorrt
from fiqa_runtime.backends.tensorrt.plan_facts import plan_facts, read_plan, refuse_other_gpu, refuse_other_version
from fiqa_runtime.errors import ArtefactError, CardError, InputError, UnsupportedError

ARITHMETIC = {"fp32": "float32", "fp16": "float16", "int8": "int8"}


class TensorRtBackend:
    """A plan on the GPU; `run` may be called from several threads, which are served one after the other.

    All memory on the GPU and on the host is freed by `close`, when the last reference goes, or when the process ends.
    """

    name = "tensorrt"

    def __init__(self, artefact: Path, card: Card) -> None:
        plan = read_plan(artefact, card)
        self._facts = plan_facts(card, artefact)
        build = self._facts.build
        trt = import_tensorrt(build.flavour)
        refuse_other_version(self._facts, trt.__version__)
        self._driver = open_driver()
        refuse_other_gpu(self._facts, self._driver.gpu)
        self._lock = threading.Lock()
        frees = ExitStack()
        self._free = weakref.finalize(self, _free, self._driver, frees)
        try:
            with self._on_gpu():
                self._open(trt, plan, frees)
            self._inputs, self._outputs = self._names(card)
        except BaseException:
            self._free()
            raise
        self.info = {
            "version": f"{build.flavour} {trt.__version__}",
            "device": f"{self._driver.gpu.name} ({self._driver.gpu.compute_capability})",
            "arithmetic": "tf32" if card.precision == "fp32" and build.flags.tf32 else ARITHMETIC[card.precision],
            "memory": f"{self._driver.name}, {'mapped' if self._driver.gpu.integrated else 'copied'}",
        }

    def run(self, inputs: Inputs) -> Arrays:
        arrays = self._check(inputs)
        with self._lock:
            if not self._free.alive:
                raise InputError(f"{self._facts.name} is closed; open it again")
            with self._on_gpu():
                parts = self._run_parts(arrays)
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def close(self) -> None:
        with self._lock:
            self._free()

    @contextmanager
    def _on_gpu(self) -> Iterator[None]:
        """Make the CUDA context current in the calling thread, and turn CUDA's errors into ours."""
        try:
            with active(self._driver):
                yield
        except (MemoryError, self._driver.memory_error) as error:
            raise UnsupportedError(
                f"{self._facts.name} found no memory on {self._driver.gpu.name} ({error}); close other programs there"
            ) from error
        except self._driver.error as error:
            raise ArtefactError(
                f"{self._facts.name} failed on {self._driver.gpu.name} ({error}); "
                f"start again, or build it again here: {self._facts.rebuild}"
            ) from error

    def _open(self, trt: Any, plan: bytes, frees: ExitStack) -> None:
        """Load and allocate for the largest batch: weights, activations, two sets of buffers, two streams."""
        free, wanted, self._largest = self._driver.free_memory(), len(plan), 1
        try:
            self._engine = Engine(trt, plan, self._facts)
            frees.callback(self._engine.close)
            self._engine.read_tensors()
            self._smallest = max(taken.smallest[0] for taken in self._engine.inputs.values())
            self._largest = min(taken.largest[0] for taken in self._engine.inputs.values())
            free, wanted = self._driver.free_memory(), self._engine.activation_bytes
            self._engine.activate()
            shapes = {name: taken.largest for name, taken in self._engine.inputs.items()}
            shapes |= self._engine.shape_inputs(shapes)
            wanted += 2 * sum(nbytes(shape) for shape in shapes.values())
            self._slots = [Slot(self._driver, shapes, frees, self._engine.raw) for _ in range(2)]
        except (MemoryError, self._driver.memory_error) as error:
            raise out_of_memory(wanted, free, self._largest, self._facts.rebuild) from error
        self._stream = self._driver.stream()
        frees.callback(self._stream.free)
        self._uploads = self._driver.stream()
        frees.callback(self._uploads.free)

    def _names(self, card: Card) -> tuple[list[str], dict[str, str]]:
        """The plan's inputs in order, and its outputs by their names on the card."""
        outputs = _matched(self._engine.outputs, [output.name for output in card.outputs])
        if outputs is None:
            raise CardError(
                f"{self._facts.name} gives other outputs than its card says; build it again: {self._facts.rebuild}"
            )
        return list(self._engine.inputs), outputs

    def _run_parts(self, arrays: Inputs) -> list[Arrays]:
        count = len(next(iter(arrays.values())))
        parts: list[Arrays] = []
        running: list[tuple[Slot, int, dict[str, Shape]]] = []
        try:
            for turn, start in enumerate(range(0, count, self._largest)):
                if len(running) == len(self._slots):
                    parts.append(self._collect(*running.pop(0)))
                slot = self._slots[turn % len(self._slots)]
                part = {name: array[start : start + self._largest] for name, array in arrays.items()}
                running.append((slot, min(self._largest, count - start), self._enqueue(slot, part)))
            parts += [self._collect(*each) for each in running]
        except BaseException:
            # The GPU has to be done with the buffers; the error that came first is the one to tell.
            with suppress(self._driver.error):
                self._uploads.synchronize()
                self._stream.synchronize()
            raise
        return parts

    def _enqueue(self, slot: Slot, part: Inputs) -> dict[str, Shape]:
        """Give one part to the GPU without waiting for it; returns the shapes of its outputs."""
        shapes = {name: (max(len(array), self._smallest), *array.shape[1:]) for name, array in part.items()}
        outputs = self._engine.shape_inputs(shapes)
        self._engine.place(slot.addresses)
        for name, array in part.items():
            target = slot.array(name, shapes[name])
            target[: len(array)] = array
            target[len(array) :] = 0
            slot.upload(name, shapes[name], self._uploads)
        slot.uploaded.record(self._uploads)
        self._stream.wait(slot.uploaded)
        self._engine.execute(self._stream.handle)
        for name, shape in outputs.items():
            slot.download(name, shape, self._stream)
        slot.done.record(self._stream)
        return outputs

    def _collect(self, slot: Slot, count: int, shapes: Mapping[str, Shape]) -> Arrays:
        """Wait for a part and copy its outputs."""
        slot.done.synchronize()
        return {self._outputs[name]: slot.array(name, shape)[:count].copy() for name, shape in shapes.items()}

    def _check(self, inputs: Inputs) -> Inputs:
        """The inputs by the plan's names; raises InputError where it cannot take them."""
        ours = _matched(list(inputs), self._inputs)
        if ours is None:
            expected, got = ", ".join(self._inputs), ", ".join(inputs)
            raise InputError(f"{self._facts.name} takes {expected}, not {got}; feed it what its card says")
        arrays = {ours[name]: array for name, array in inputs.items()}
        if len({len(array) for array in arrays.values()}) != 1 or not len(next(iter(arrays.values()))):
            raise InputError(
                f"{self._facts.name} needs at least one image, and as many of every input; give arrays of one length"
            )
        for name, array in arrays.items():
            taken, given = self._engine.inputs[name], array.shape[1:]
            limits = zip(taken.smallest[1:], given, taken.largest[1:], strict=False)
            if array.ndim != len(taken.largest) or not all(low <= size <= high for low, size, high in limits):
                raise InputError(
                    f"{self._facts.name} takes '{name}' of {_text(taken.smallest[1:], taken.largest[1:])}, "
                    f"not {_text(given, given)}; feed it what its card says"
                )
            wanted = np.uint8 if name in self._engine.raw else np.float32
            if array.dtype != wanted:
                raise InputError(
                    f"{self._facts.name} takes '{name}' as {np.dtype(wanted)}, not {array.dtype}; convert it"
                )
        return arrays


def open_artefact(
    artefact: Path, card: Card, threads: int | None, precision: CpuPrecision = "exact", device: str = "cuda"
) -> TensorRtBackend:
    """Load a plan; `threads`, `precision` and `device` have no meaning for it, since it runs on its GPU alone.

    Raises CardError where the plan is not the one of its card, UnsupportedError where it was built for another
    version or GPU or memory is short, ArtefactError where TensorRT refuses it, DependencyError without its packages.
    """
    return TensorRtBackend(artefact, card)


def _free(driver: Driver, frees: ExitStack) -> None:
    # Nothing can be freed on a GPU that has failed, and `run` has said so then.
    with suppress(driver.error), active(driver):
        frees.close()


def _matched(names: list[str], others: list[str]) -> dict[str, str] | None:
    """What each of `names` is called among `others`: the same where both have the same names, else in order.

    None where one list is longer.
    """
    if set(names) == set(others):
        return {name: name for name in names}
    return dict(zip(names, others, strict=True)) if len(names) == len(others) else None


def _text(smallest: Shape, largest: Shape) -> str:
    low, high = ("x".join(map(str, shape)) for shape in (smallest, largest))
    return low if low == high else f"{low} to {high}"

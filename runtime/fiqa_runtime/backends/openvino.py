"""OpenVINO on the CPU, on Intel's GPUs and on its NPUs.

On the CPU it computes in bfloat16 or float16 where the processor can; `exact` keeps it in float32, as on GPUs. An NPU
has no float32 and computes in what it has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
import openvino as ov

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.backends.base import Arrays, Inputs, by_names, closed, failed, in_file_order
from fiqa_runtime.backends.devices import CPU
from fiqa_runtime.errors import UnsupportedError

TYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
PLUGINS = {CPU: "CPU", "intel-gpu": "GPU", "intel-npu": "NPU"}
"""OpenVINO's name of each device."""
DRIVERS = {"intel-gpu": "intel-opencl-icd", "intel-npu": "intel-npu-driver"}
"""Intel's package on Linux with the driver that OpenVINO needs for a device."""
NPU = "intel-npu"
"""The device that compiles a network for one shape alone, and in no float32."""
FREE_SIDE = 640
"""Pixels that a free side has when a network is first compiled for one shape alone."""
MOST_SHAPES = 8
"""Shapes for which a network stays compiled."""
Shapes = tuple[tuple[int, ...], ...]


class OpenVinoBackend:
    """A compiled OpenVINO model, with as many inference requests as there are threads that run it at once."""

    name = "openvino"

    def __init__(
        self,
        artefact: Path,
        card: Card,
        threads: int | None,
        precision: CpuPrecision,
        device: str,
        shapes: Sequence[Sequence[int]] | None = None,
    ) -> None:
        """`shapes` of the inputs, in the order of the file; None leaves them free as they are."""
        config = {"PERFORMANCE_HINT": "LATENCY"}
        if precision == "exact" and device != NPU:
            config["INFERENCE_PRECISION_HINT"] = "f32"
        if threads and device == CPU:
            config["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            core = ov.Core()
            model = core.read_model(str(artefact))
            if shapes is not None:
                model.reshape({port: list(shape) for port, shape in zip(model.inputs, shapes, strict=True)})
            elif card.input.height is None and model.inputs[0].partial_shape.is_static:
                model.reshape([1, 3, -1, -1])
            self._model: Any = core.compile_model(model, PLUGINS[device], config)
        except RuntimeError as error:
            other = "--backend onnxruntime" if device == CPU else "--device cpu"
            raise UnsupportedError(
                f"OpenVINO cannot run {artefact.name}: {_reason(str(error))}; use {other}"
            ) from error
        self._artefact = artefact.name
        self._idle: SimpleQueue[Any] = SimpleQueue()
        self._inputs = [port.get_any_name() for port in self._model.inputs]
        self._outputs = in_file_order([port.get_any_name() for port in model.outputs], card)
        self.info = {"version": ov.__version__, "device": device, "arithmetic": _arithmetic(self._model)}
        if device != CPU:
            self.info["hardware"] = str(core.get_property(PLUGINS[device], "FULL_DEVICE_NAME"))

    def run(self, inputs: Inputs) -> Arrays:
        with self._request() as request:
            try:
                request.infer(by_names(inputs, self._inputs), share_inputs=True)
            except (RuntimeError, TypeError, ValueError) as error:
                raise failed(self._artefact, "OpenVINO", error) from error
            return {
                name: np.array(request.get_output_tensor(i).data, np.float32) for i, name in enumerate(self._outputs)
            }

    @contextmanager
    def _request(self) -> Iterator[Any]:
        """An inference request that no other thread uses: an idle one, or a new one."""
        model = self._model
        if model is None:
            raise closed(self._artefact)
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = model.create_infer_request()
        yield request
        self._idle.put(request)

    def close(self) -> None:
        self._model = None
        with suppress(Empty):
            while True:
                self._idle.get_nowait()


class OneShapeBackend:
    """A network on a device that compiles it for one shape alone: images run one by one, each shape in a model of its
    own."""

    name = "openvino"

    def __init__(self, artefact: Path, open_for: Callable[[Shapes], OpenVinoBackend], first: Shapes) -> None:
        """`open_for` compiles the network for the shapes of its inputs, for one image; `first` are those to begin
        with."""
        self._artefact = artefact.name
        self._open_for = open_for
        self._lock = Lock()
        self._models: dict[Shapes, OpenVinoBackend] | None = {first: open_for(first)}
        self.info = self._models[first].info

    def run(self, inputs: Inputs) -> Arrays:
        count = len(next(iter(inputs.values())))
        images = [{name: array[i : i + 1] for name, array in inputs.items()} for i in range(count)]
        parts = [self._model(tuple(array.shape for array in image.values())).run(image) for image in images]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _model(self, shapes: Shapes) -> OpenVinoBackend:
        """The network for `shapes`; the one that has been there for longest makes room."""
        with self._lock:
            if self._models is None:
                raise closed(self._artefact)
            if shapes not in self._models:
                if len(self._models) == MOST_SHAPES:
                    del self._models[next(iter(self._models))]
                self._models[shapes] = self._open_for(shapes)
            return self._models[shapes]

    def close(self) -> None:
        with self._lock:
            self._models = None


def _reason(error: str) -> str:
    """The operators that OpenVINO does not know, else the last line of what it says."""
    unknown = re.search(r"No conversion rule found for operations: (.+)", error)
    return f"operator {unknown[1]}" if unknown else error.strip().splitlines()[-1]


def _arithmetic(model: Any) -> str:
    """What a compiled model says that it computes in."""
    try:
        computed: str = model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    except RuntimeError:
        return "what the device has"
    return TYPES.get(computed, computed)


def _first_shapes(artefact: Path) -> Shapes:
    """Shapes of the inputs for one image; raises UnsupportedError where OpenVINO cannot read the file."""
    try:
        inputs = ov.Core().read_model(str(artefact)).inputs
    except RuntimeError as error:
        raise UnsupportedError(f"OpenVINO cannot read {artefact.name}: {_reason(str(error))}") from error
    sides = [[d.get_length() if d.is_static else FREE_SIDE for d in port.partial_shape] for port in inputs]
    return tuple((1, *shape[1:]) for shape in sides)


def lacks(device: str) -> str | None:
    """What OpenVINO lacks here to use `device`, and what to do about it; None where it sees such a device."""
    plugin = PLUGINS[device]
    here = ov.Core().available_devices
    if any(name.partition(".")[0] == plugin for name in here):
        return None
    return (
        f"OpenVINO {ov.__version__} sees no {plugin} here (it sees {', '.join(here)}); "
        f"install Intel's driver ({DRIVERS[device]} on Linux) and let this user into the group render"
    )


def open_artefact(
    artefact: Path, card: Card, threads: int | None, precision: CpuPrecision = "exact", device: str = CPU
) -> OpenVinoBackend | OneShapeBackend:
    """Load an ONNX file; raises UnsupportedError where OpenVINO refuses it."""
    if device != NPU:
        return OpenVinoBackend(artefact, card, threads, precision, device)

    def open_for(shapes: Shapes) -> OpenVinoBackend:
        return OpenVinoBackend(artefact, card, threads, precision, device, shapes)

    return OneShapeBackend(artefact, open_for, _first_shapes(artefact))

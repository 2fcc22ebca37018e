"""OpenVINO on the CPU. It computes in bfloat16 or float16 where the processor can; `exact` keeps it in float32."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
import openvino as ov

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.backends.base import Arrays, Inputs, by_names, closed, failed, in_file_order
from fiqa_runtime.errors import UnsupportedError

TYPES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}


class OpenVinoBackend:
    """A compiled OpenVINO model, with as many inference requests as there are threads that run it at once."""

    name = "openvino"

    def __init__(self, artefact: Path, card: Card, threads: int | None, precision: CpuPrecision) -> None:
        config = {"PERFORMANCE_HINT": "LATENCY"}
        if precision == "exact":
            config["INFERENCE_PRECISION_HINT"] = "f32"
        if threads:
            config["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            core = ov.Core()
            model = core.read_model(str(artefact))
            if card.input.height is None and model.inputs[0].partial_shape.is_static:
                model.reshape([1, 3, -1, -1])
            self._model: Any = core.compile_model(model, "CPU", config)
        except RuntimeError as error:
            raise UnsupportedError(
                f"OpenVINO cannot run {artefact.name}: {_reason(str(error))}; use --backend onnxruntime"
            ) from error
        self._artefact = artefact.name
        self._idle: SimpleQueue[Any] = SimpleQueue()
        self._inputs = [port.get_any_name() for port in self._model.inputs]
        self._outputs = in_file_order([port.get_any_name() for port in model.outputs], card)
        computed = self._model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.info = {"version": ov.__version__, "device": "cpu", "arithmetic": TYPES.get(computed, computed)}

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


def _reason(error: str) -> str:
    """The operators that OpenVINO does not know, else the last line of what it says."""
    unknown = re.search(r"No conversion rule found for operations: (.+)", error)
    return f"operator {unknown[1]}" if unknown else error.strip().splitlines()[-1]


def open_artefact(
    artefact: Path, card: Card, threads: int | None, precision: CpuPrecision = "exact"
) -> OpenVinoBackend:
    """Load an ONNX file; raises UnsupportedError where OpenVINO refuses it."""
    return OpenVinoBackend(artefact, card, threads, precision)

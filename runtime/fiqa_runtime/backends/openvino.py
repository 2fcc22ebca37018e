"""OpenVINO on the CPU, in float32 arithmetic (it would use bfloat16 by itself where the processor has it)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.card import Card
from fiqa_runtime.errors import UnsupportedError


class OpenVinoBackend:
    """A compiled OpenVINO model and one inference request."""

    name = "openvino"

    def __init__(self, artefact: Path, card: Card, threads: int | None) -> None:
        config = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if threads:
            config["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            self._model = ov.Core().compile_model(str(artefact), "CPU", config)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise UnsupportedError(
                f"OpenVINO cannot run {artefact.name}: {reason}; use --backend onnxruntime"
            ) from error
        self._request = self._model.create_infer_request()
        self._inputs = [port.get_any_name() for port in self._model.inputs]
        self._outputs = [o.name for o in card.outputs]
        self.info = {"version": ov.__version__, "device": "cpu", "arithmetic": "float32"}

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> Arrays:
        feed = inputs if set(inputs) == set(self._inputs) else dict(zip(self._inputs, inputs.values(), strict=True))
        self._request.infer(dict(feed), share_inputs=True)
        return {
            name: np.array(self._request.get_output_tensor(i).data, np.float32) for i, name in enumerate(self._outputs)
        }

    def close(self) -> None:
        del self._request, self._model


def open_artefact(artefact: Path, card: Card, threads: int | None) -> OpenVinoBackend:
    """Load an ONNX file; raises UnsupportedError where OpenVINO refuses it."""
    return OpenVinoBackend(artefact, card, threads)

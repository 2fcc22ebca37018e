"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.backends.prelu import for_onnxruntime
from fiqa_runtime.card import Card
from fiqa_runtime.errors import ArtefactError


class OnnxRuntimeBackend:
    """An ONNX Runtime session with the CPU provider; `run` may be called from several threads."""

    name = "onnxruntime"

    def __init__(self, artefact: Path, card: Card, threads: int | None) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        try:
            self._session = ort.InferenceSession(for_onnxruntime(artefact), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime raises a dozen unrelated classes here
            reason = str(error).splitlines()[0]
            raise ArtefactError(f"ONNX Runtime cannot load {artefact}: {reason}; export it again") from error
        self._inputs = [i.name for i in self._session.get_inputs()]
        self._outputs = [o.name for o in card.outputs]
        self.info = {"version": ort.__version__, "device": "cpu", "arithmetic": "float32"}

    def run(self, inputs: Mapping[str, NDArray[np.float32]]) -> Arrays:
        feed = inputs if set(inputs) == set(self._inputs) else dict(zip(self._inputs, inputs.values(), strict=True))
        return dict(zip(self._outputs, self._session.run(None, dict(feed)), strict=True))

    def close(self) -> None:
        del self._session


def open_artefact(artefact: Path, card: Card, threads: int | None) -> OnnxRuntimeBackend:
    """Load an ONNX file; raises ArtefactError where ONNX Runtime refuses it."""
    return OnnxRuntimeBackend(artefact, card, threads)

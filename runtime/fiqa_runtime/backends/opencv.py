"""OpenCV DNN on the CPU: nothing to install beside the base packages."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.backends.base import Arrays, Inputs, in_file_order
from fiqa_runtime.errors import UnsupportedError


class OpenCvBackend:
    """A `cv2.dnn` network. It shares the number of threads with everything else that OpenCV does in this process."""

    name = "opencv"

    def __init__(self, artefact: Path, card: Card, threads: int | None) -> None:
        if threads:
            cv2.setNumThreads(threads)
        try:
            self._net = cv2.dnn.readNetFromONNX(str(artefact))
        except cv2.error as error:
            raise self._refused(artefact.name, error) from error
        self._artefact = artefact.name
        self._layers = [str(n) for n in self._net.getUnconnectedOutLayersNames()]
        self._outputs = in_file_order(self._layers, card)
        self.info = {"version": cv2.__version__, "device": "cpu", "arithmetic": "float32"}

    def run(self, inputs: Inputs) -> Arrays:
        try:
            for name, array in inputs.items():
                self._net.setInput(array, name if len(inputs) > 1 else "")
            results = self._net.forward(self._layers)
        except cv2.error as error:
            raise self._refused(self._artefact, error) from error
        return {name: np.asarray(r, np.float32) for name, r in zip(self._outputs, results, strict=True)}

    def close(self) -> None:
        with suppress(AttributeError):  # closed before
            del self._net

    @staticmethod
    def _refused(name: str, error: cv2.error) -> UnsupportedError:
        found = re.search(r"Node \[(\w+)@", str(error))
        detail = f"operator {found[1]}" if found else " ".join(str(error).split())
        return UnsupportedError(f"OpenCV {cv2.__version__} cannot run {name}: {detail}; use --backend onnxruntime")


def open_artefact(artefact: Path, card: Card, threads: int | None, precision: CpuPrecision = "exact") -> OpenCvBackend:
    """Load an ONNX file, float32 in either precision; raises UnsupportedError where OpenCV refuses it."""
    return OpenCvBackend(artefact, card, threads)

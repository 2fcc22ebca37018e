"""OpenCV DNN: on the CPU, with nothing to install beside the base packages, and on NVIDIA GPUs where it was built with
CUDA."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.backends.base import Arrays, Inputs, closed, in_file_order
from fiqa_runtime.backends.devices import CPU, leave_tf32_out
from fiqa_runtime.errors import UnsupportedError

CUDA = (cv2.dnn.DNN_BACKEND_CUDA, cv2.dnn.DNN_TARGET_CUDA)
"""OpenCV's backend and target for NVIDIA GPUs."""


class OpenCvBackend:
    """A `cv2.dnn` network, which runs for one thread after the other.

    It shares the number of its own threads with everything else that OpenCV does in this process.
    """

    name = "opencv"

    def __init__(self, artefact: Path, card: Card, threads: int | None, device: str) -> None:
        if threads:
            cv2.setNumThreads(threads)
        try:
            self._net: cv2.dnn.Net | None = _network(artefact, device)
        except cv2.error as error:
            raise self._refused(artefact.name, error) from error
        self._artefact = artefact.name
        self._lock = Lock()
        self._layers = [str(n) for n in self._net.getUnconnectedOutLayersNames()]
        self._outputs = in_file_order(self._layers, card)
        self.info = {"version": cv2.__version__, "device": device, "arithmetic": "float32"}

    def run(self, inputs: Inputs) -> Arrays:
        with self._lock:
            if self._net is None:
                raise closed(self._artefact)
            try:
                for name, array in inputs.items():
                    self._net.setInput(array, name if len(inputs) > 1 else "")
                results = self._net.forward(self._layers)
            except cv2.error as error:
                raise self._refused(self._artefact, error) from error
            return {name: np.array(r, np.float32) for name, r in zip(self._outputs, results, strict=True)}

    def close(self) -> None:
        with self._lock:
            self._net = None

    @staticmethod
    def _refused(name: str, error: cv2.error) -> UnsupportedError:
        found = re.search(r"Node \[(\w+)@", str(error))
        detail = f"operator {found[1]}" if found else " ".join(str(error).split())
        return UnsupportedError(f"OpenCV {cv2.__version__} cannot run {name}: {detail}; use --backend onnxruntime")


def _network(artefact: Path, device: str) -> cv2.dnn.Net:
    """The network in `artefact`, on `device`. OpenCV 5 has GPUs in its older engine alone."""
    if device == CPU:
        return cv2.dnn.readNetFromONNX(str(artefact))
    leave_tf32_out()
    engine = {"engine": cv2.dnn.ENGINE_CLASSIC} if hasattr(cv2.dnn, "ENGINE_CLASSIC") else {}
    network = cv2.dnn.readNetFromONNX(str(artefact), **engine)
    backend, target = CUDA
    network.setPreferableBackend(backend)
    network.setPreferableTarget(target)
    return network


def lacks(device: str) -> str | None:
    """What OpenCV lacks here to use CUDA, and what to do about it; None where it has it and sees a GPU.

    OpenCV itself would say nothing and compute on the processor.
    """
    backend, target = CUDA
    if target in cv2.dnn.getAvailableTargets(backend):
        return None
    return (
        f"OpenCV {cv2.__version__} was built without CUDA or sees no GPU here (pip's wheels have none); "
        f"build it with OPENCV_DNN_CUDA, or take --backend onnxruntime"
    )


def open_artefact(
    artefact: Path, card: Card, threads: int | None, precision: CpuPrecision = "exact", device: str = CPU
) -> OpenCvBackend:
    """Load an ONNX file, float32 in either precision; raises UnsupportedError where OpenCV refuses it."""
    return OpenCvBackend(artefact, card, threads, device)

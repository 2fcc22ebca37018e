"""ONNX Runtime on the CPU. It computes in float32; on ARM, `fast` lets matrix products run in bfloat16."""

from __future__ import annotations

import platform
from pathlib import Path

import onnxruntime as ort

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.backends.base import Arrays, Inputs, by_names, closed, failed, in_file_order
from fiqa_runtime.errors import ArtefactError
from fiqa_runtime.onnx_bytes.free_size import free_size
from fiqa_runtime.onnx_bytes.prelu import for_onnxruntime
from fiqa_runtime.system.host import cpu_features

ARM_BFLOAT16 = "mlas.enable_gemm_fastmath_arm64_bfloat16"
STOP_SPINNING = "session.force_spinning_stop"
"""Lets threads sleep at the end of a run. By default they would keep the cores busy, which detection needs next."""


class OnnxRuntimeBackend:
    """An ONNX Runtime session with the CPU provider; `run` may be called from several threads."""

    name = "onnxruntime"

    def __init__(self, artefact: Path, card: Card, threads: int | None, precision: CpuPrecision) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry(STOP_SPINNING, "1")
        if threads:
            options.intra_op_num_threads = threads
        arithmetic = "float32"
        if precision == "fast" and platform.machine() in ("aarch64", "arm64") and "bf16" in cpu_features():
            options.add_session_config_entry(ARM_BFLOAT16, "1")
            arithmetic = "float32, matrix products in bfloat16"
        try:
            self._session: ort.InferenceSession | None = _session(for_onnxruntime(artefact), options)
            if card.input.height is None and isinstance(self._session.get_inputs()[0].shape[2], int):
                self._session = _session(free_size(artefact.read_bytes(), card.input.name), options)
        except Exception as error:  # ONNX Runtime raises a dozen classes here that have no base of their own
            reason = str(error).splitlines()[0]
            raise ArtefactError(f"ONNX Runtime cannot load {artefact}: {reason}; export it again") from error
        self._artefact = artefact.name
        self._inputs = [i.name for i in self._session.get_inputs()]
        self._outputs = in_file_order([o.name for o in self._session.get_outputs()], card)
        self.info = {"version": ort.__version__, "device": "cpu", "arithmetic": arithmetic}

    def run(self, inputs: Inputs) -> Arrays:
        session = self._session
        if session is None:
            raise closed(self._artefact)
        try:
            results = session.run(None, by_names(inputs, self._inputs))
        except Exception as error:  # as in __init__
            raise failed(self._artefact, "ONNX Runtime", error) from error
        return dict(zip(self._outputs, results, strict=True))

    def close(self) -> None:
        self._session = None


def _session(model: str | bytes, options: ort.SessionOptions) -> ort.InferenceSession:
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def open_artefact(
    artefact: Path, card: Card, threads: int | None, precision: CpuPrecision = "exact"
) -> OnnxRuntimeBackend:
    """Load an ONNX file; raises ArtefactError where ONNX Runtime refuses it."""
    return OnnxRuntimeBackend(artefact, card, threads, precision)

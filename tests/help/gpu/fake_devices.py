"""Devices that this machine lacks: what runtimes say of them, and sessions that compute on the processor for them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import cv2
import fiqa_runtime.backends.opencv
import fiqa_runtime.backends.openvino
import onnxruntime as ort
import openvino as ov
import pytest
from fiqa_runtime.backends.devices import CPU, DEVICES, TF32
from fiqa_runtime.scoring import choice
from fiqa_runtime.scoring.trial import Trial
from fiqa_runtime.scoring.trial_process import measure

CUDA, TENSORRT, ON_CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"
PROVIDERS = [TENSORRT, CUDA, "DmlExecutionProvider", "CoreMLExecutionProvider", ON_CPU]
OTHERS = [name for name in DEVICES if name != CPU]


class FakeSession(ort.InferenceSession):  # type: ignore[misc]  # ONNX Runtime has no types
    """A session that says it runs on the provider it was asked for, and remembers how it was asked."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def __init__(self, model: Any, options: Any, providers: list[Any], **more: Any) -> None:
        names = [name if isinstance(name, str) else name[0] for name in providers]
        given = dict(each for each in providers if not isinstance(each, str))
        self.asked.append({"providers": names, "options": given, "session": options, **more})
        super().__init__(model, options, providers=[ON_CPU], **more)
        self.names = names

    def disable_fallback(self) -> None:
        self.asked[-1]["fallback"] = False
        super().disable_fallback()

    def get_providers(self) -> list[str]:
        return self.names

    def get_provider_graph_assignment_info(self) -> list[Any]:
        return [SimpleNamespace(ep_name=name, get_nodes=lambda: ["a", "b"]) for name in (self.names[0], ON_CPU)]


def lack_everything(patch: pytest.MonkeyPatch) -> None:
    """Let this be a machine with a processor alone, whatever it has."""
    patch.setattr(ort, "get_available_providers", lambda: [ON_CPU])
    patch.setattr(cv2.dnn, "getAvailableTargets", lambda backend: [])
    patch.setattr(ov.Core, "available_devices", ["CPU"])


def have_everything(patch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Let every device be here, and be the processor in truth; gives what sessions of ONNX Runtime are asked for.

    Backends are tried in this process, since another one would not know.
    """
    patch.setattr(ort, "get_available_providers", lambda: PROVIDERS)
    patch.setattr(ort, "InferenceSession", FakeSession)
    patch.setattr(FakeSession, "asked", [])
    patch.setattr(ort, "preload_dlls", lambda: None)
    patch.setattr(fiqa_runtime.backends.opencv, "CUDA", (cv2.dnn.DNN_BACKEND_OPENCV, cv2.dnn.DNN_TARGET_CPU))
    patch.setattr(fiqa_runtime.backends.openvino, "PLUGINS", dict.fromkeys(DEVICES, "CPU"))
    patch.setenv(TF32, "set back afterwards")
    patch.delenv(TF32)
    patch.setattr(choice, "try_backend", try_here)
    return FakeSession.asked


def try_here(backend: str, artefact: Path, threads: int | None, precision: Any, device: str) -> Trial:
    return measure(str(artefact), backend, threads, precision, device)

"""One file for each way to run an artefact; all offer :class:`fiqa_runtime.backends.base.Backend`."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.backends.base import Backend
from fiqa_runtime.errors import DependencyError, InputError, UnsupportedError
from fiqa_runtime.onnx_bytes.external import external_files
from fiqa_runtime.system.files import once_per_state

ONNX_BACKENDS = {"onnxruntime": "onnxruntime", "openvino": "openvino", "opencv": "cv2"}
"""The module that each ONNX backend needs, by the backend's name; the first installed one is preferred."""
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "openvino")
"""Distributions whose versions decide which backend is the fastest here."""
PLAN_BACKEND = "tensorrt"
"""The backend that runs plans, and nothing else."""


def available() -> list[str]:
    """Names of the ONNX backends whose package is installed, preferred first."""
    return [name for name, package in ONNX_BACKENDS.items() if importlib.util.find_spec(package)]


def open_backend(
    name: str, artefact: Path, card: Card, threads: int | None = None, precision: CpuPrecision = "exact"
) -> Backend:
    """Load `artefact` in the backend called `name`; for `auto` see :func:`fiqa_runtime.scoring.choice.decide`.

    Raises InputError for an unknown name, DependencyError where its package is missing or broken, UnsupportedError or
    ArtefactError where it cannot run the network, ArtefactError where weights of it lie elsewhere than beside it.
    """
    check_backend(name, artefact, card)
    if card.format == "onnx":
        once_per_state(external_files, artefact)
    try:
        module = importlib.import_module(f"fiqa_runtime.backends.{name}")
    except ImportError as error:
        raise DependencyError(
            f"backend {name} is installed but cannot be imported ({error}); "
            f"pip install --force-reinstall 'fiqa-edge[{name}]'"
        ) from error
    backend: Backend = module.open_artefact(artefact, card, threads, precision)
    return backend


def check_backend(name: str, artefact: Path, card: Card) -> None:
    """Raise what :func:`open_backend` would raise, as far as that is known before the artefact is loaded."""
    if name not in (*ONNX_BACKENDS, PLAN_BACKEND):
        raise InputError(f"unknown backend '{name}'; choose auto, {', '.join(ONNX_BACKENDS)}, {PLAN_BACKEND}")
    if card.format == "plan" and name != PLAN_BACKEND:
        raise UnsupportedError(
            f"{artefact.name} is a TensorRT plan, backend {name} runs ONNX; use the .onnx file or --backend auto"
        )
    if card.format != "plan" and name == PLAN_BACKEND:
        raise UnsupportedError(
            f"{artefact.name} is ONNX, backend {name} runs plans; fiqa-export {card.model} --target tensorrt builds one"
        )
    if name in ONNX_BACKENDS and name not in available():
        raise DependencyError(f"backend {name} is not installed; pip install 'fiqa-edge[{name}]'")

"""Ways to run an artefact, all behind one protocol (:class:`fiqa_runtime.backends.base.Backend`)."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

from fiqa_runtime.backends.base import Backend
from fiqa_runtime.card import Card
from fiqa_runtime.errors import DependencyError, InputError, UnsupportedError

PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "opencv": "cv2"}
"""ONNX backends in the order `auto` prefers them, with the package each needs."""


def available() -> list[str]:
    """Names of the ONNX backends whose package is installed, preferred first."""
    return [name for name, package in PACKAGES.items() if importlib.util.find_spec(package)]


def open_backend(name: str, artefact: Path, card: Card, threads: int | None = None) -> Backend:
    """Load `artefact` in the backend called `name`; `auto` takes the first installed one and no other.

    Raises InputError for an unknown name, DependencyError where its package is missing, UnsupportedError or
    ArtefactError where it cannot run the network.
    """
    if name == "auto":
        name = available()[0]
    if name not in PACKAGES:
        raise InputError(f"unknown backend '{name}'; choose auto, {', '.join(PACKAGES)}")
    if card.format != "onnx":
        raise UnsupportedError(f"{artefact.name} is a TensorRT plan, backend {name} runs ONNX; use the .onnx file")
    if name not in available():
        raise DependencyError(f"backend {name} is not installed; pip install 'fiqa-edge[{name}]'")
    module = importlib.import_module(f"fiqa_runtime.backends.{name}")
    backend: Backend = module.open_artefact(artefact, card, threads)
    return backend

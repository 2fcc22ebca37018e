"""One file for each way to run an artefact; all offer :class:`fiqa_runtime.backends.base.Backend`."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from types import ModuleType

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.backends.base import Backend
from fiqa_runtime.backends.devices import CPU, DEVICES, PLAN_BACKEND, check_device
from fiqa_runtime.errors import DependencyError, InputError, UnsupportedError
from fiqa_runtime.onnx_bytes.external import external_files
from fiqa_runtime.system.files import once_per_state

ONNX_BACKENDS = {"onnxruntime": "onnxruntime", "openvino": "openvino", "opencv": "cv2"}
"""The module that each ONNX backend needs, by the backend's name; the first installed one is preferred."""
DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "openvino")
"""Distributions whose versions decide which backend is the fastest here."""


def serving(device: str) -> list[str]:
    """Names of the ONNX backends that serve `device`, installed or not, preferred first."""
    return [name for name in ONNX_BACKENDS if device == CPU or name in DEVICES[device].backends]


def available(device: str = CPU) -> list[str]:
    """Names of the ONNX backends that are installed and can use `device` here, preferred first."""
    return [name for name in serving(device) if lacking(name, device) is None]


def lacking(name: str, device: str = CPU) -> str | None:
    """What the ONNX backend `name`, which serves `device`, lacks here to use it, and what to do; None: nothing."""
    if not importlib.util.find_spec(ONNX_BACKENDS[name]):
        return f"backend {name} is not installed; pip install 'fiqa-edge[{name}]'"
    if device == CPU:
        return None
    try:
        reason: str | None = _module(name).lacks(device)
    except DependencyError as error:
        return str(error)
    return reason


def require_device(device: str) -> list[str]:
    """:func:`available`, of which there has to be one.

    Raises InputError for an unknown device, DependencyError where no backend can use it here, which says what the
    preferred one lacks.
    """
    check_device(device)
    names = available(device)
    if not names:
        raise DependencyError(f"nothing here runs on {device}: {lacking(serving(device)[0], device)}")
    return names


def devices_here() -> dict[str, dict[str, str]]:
    """By device, and by backend that serves it: what is lacking here, and what to do; empty where nothing is."""
    return {device: {name: lacking(name, device) or "" for name in serving(device)} for device in DEVICES}


def device_lines() -> list[str]:
    """For people: the backends of each device that is here, and what the preferred one of each other device lacks."""
    lines = []
    for device, backends in devices_here().items():
        ready = [name for name, reason in backends.items() if not reason]
        told = f"in {', '.join(ready)}" if ready else f"not here: {next(iter(backends.values()))}"
        lines.append(f"device {device}: {told}")
    return lines


def open_backend(
    name: str,
    artefact: Path,
    card: Card,
    threads: int | None = None,
    precision: CpuPrecision = "exact",
    device: str = CPU,
) -> Backend:
    """Load `artefact` in the backend called `name` on `device`; for `auto` see
    :func:`fiqa_runtime.scoring.choice.decide`.

    Raises InputError for an unknown name, DependencyError where its package or the device is missing or broken,
    UnsupportedError or ArtefactError where it cannot run the network, ArtefactError where weights of it lie elsewhere
    than beside it.
    """
    check_backend(name, artefact, card, device)
    if card.format == "onnx":
        once_per_state(external_files, artefact)
    backend: Backend = _module(name).open_artefact(artefact, card, threads, precision, device)
    return backend


def check_backend(name: str, artefact: Path, card: Card, device: str = CPU) -> None:
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
    if name == PLAN_BACKEND:
        return
    if name not in serving(check_device(device)):
        raise UnsupportedError(f"backend {name} does not run on {device}; choose {' or '.join(serving(device))}")
    if reason := lacking(name, device):
        raise DependencyError(reason)


def _module(name: str) -> ModuleType:
    """The file of the backend `name`; raises DependencyError where what it needs cannot be imported."""
    try:
        return importlib.import_module(f"fiqa_runtime.backends.{name}")
    except ImportError as error:
        raise DependencyError(
            f"backend {name} is installed but cannot be imported ({error}); "
            f"pip install --force-reinstall 'fiqa-edge[{name}]'"
        ) from error

"""ONNX Runtime: on the CPU in float32 (on ARM, `fast` lets matrix products run in bfloat16), and on devices that its
execution providers reach."""

from __future__ import annotations

import io
import platform
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import onnxruntime as ort

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.backends.base import Arrays, Inputs, by_names, closed, failed, in_file_order
from fiqa_runtime.backends.devices import CPU, leave_tf32_out
from fiqa_runtime.errors import ArtefactError, DependencyError, UnsupportedError
from fiqa_runtime.onnx_bytes.free_size import free_size
from fiqa_runtime.onnx_bytes.interface import read_interface
from fiqa_runtime.onnx_bytes.prelu import for_onnxruntime
from fiqa_runtime.system.files import user_cache
from fiqa_runtime.system.host import cpu_features

ARM_BFLOAT16 = "mlas.enable_gemm_fastmath_arm64_bfloat16"
STOP_SPINNING = "session.force_spinning_stop"
"""Lets threads sleep at the end of a run. By default they would keep the cores busy, which detection needs next."""
RECORD_PLACES = "session.record_ep_graph_assignment_info"
"""Lets a session say which provider each node was given to; ONNX Runtime has it since 1.24."""
ON_CPU = "CPUExecutionProvider"
USUAL_BATCH = 8
"""Batch that TensorRT tunes its kernels for."""


@dataclass(frozen=True)
class Provider:
    """An execution provider of ONNX Runtime."""

    name: str
    options: Mapping[str, str]
    """Its own options, which keep float32 as it is."""
    fix: str
    """What to do where it is missing or does not start."""


_CUDA = Provider(
    "CUDAExecutionProvider",
    {"use_tf32": "0"},
    "pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]'; on a Jetson take NVIDIA's wheel",
)
PROVIDERS: Mapping[str, Provider] = {
    "cuda": _CUDA,
    "tensorrt": Provider(
        "TensorrtExecutionProvider",
        {"trt_fp16_enable": "0"},
        f"install the TensorRT that this ONNX Runtime was built for, and for CUDA {_CUDA.fix}",
    ),
    "directml": Provider(
        "DmlExecutionProvider", {}, "on Windows pip uninstall onnxruntime, then pip install onnxruntime-directml"
    ),
    "coreml": Provider(
        "CoreMLExecutionProvider", {"ModelFormat": "MLProgram"}, "on macOS pip install --force-reinstall onnxruntime"
    ),
}
"""The provider of each device other than the processor."""


class OnnxRuntimeBackend:
    """An ONNX Runtime session; `run` may be called from several threads."""

    name = "onnxruntime"

    def __init__(self, artefact: Path, card: Card, threads: int | None, precision: CpuPrecision, device: str) -> None:
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.add_session_config_entry(STOP_SPINNING, "1")
        if threads:
            options.intra_op_num_threads = threads
        arithmetic = "float16" if card.precision == "fp16" and device != CPU else "float32"
        if precision == "fast" and platform.machine() in ("aarch64", "arm64") and "bf16" in cpu_features():
            options.add_session_config_entry(ARM_BFLOAT16, "1")
            arithmetic = "float32, matrix products in bfloat16"
        if device != CPU:
            options.add_session_config_entry(RECORD_PLACES, "1")
        if device == "directml":  # it knows neither memory patterns nor two runs at once
            options.enable_mem_pattern = False
        self._turn = Lock() if device == "directml" else nullcontext()
        providers = [ON_CPU] if device == CPU else _providers(device, artefact, card)
        try:
            model = for_onnxruntime(artefact) if device == CPU else str(artefact)
            self._session: ort.InferenceSession | None = _session(model, options, providers)
            if card.input.height is None and isinstance(self._session.get_inputs()[0].shape[2], int):
                self._session = _session(free_size(artefact.read_bytes(), card.input.name), options, providers)
        except Exception as error:  # ONNX Runtime raises a dozen classes here that have no base of their own
            reason = str(error).splitlines()[0]
            if device != CPU:
                fix = f"take --device cpu, or {PROVIDERS[device].fix}"
                raise UnsupportedError(
                    f"ONNX Runtime cannot open {artefact.name} on {device} ({reason}); {fix}"
                ) from error
            raise ArtefactError(f"ONNX Runtime cannot load {artefact}: {reason}; export it again") from error
        self._artefact = artefact.name
        self._inputs = [i.name for i in self._session.get_inputs()]
        self._outputs = in_file_order([o.name for o in self._session.get_outputs()], card)
        self.info = {"version": ort.__version__, "device": device, "arithmetic": arithmetic}
        if device != CPU:
            self.info |= _places(self._session, PROVIDERS[device], artefact.name)

    def run(self, inputs: Inputs) -> Arrays:
        with self._turn:
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


def _session(model: str | bytes, options: ort.SessionOptions, providers: list[Any]) -> ort.InferenceSession:
    """A session that does not go on with other providers where the first one fails: neither now nor in a run."""
    session = ort.InferenceSession(model, options, providers=providers, enable_fallback=0)
    session.disable_fallback()  # for versions that do not know the argument
    return session


def _providers(device: str, artefact: Path, card: Card) -> list[Any]:
    """What a session on `device` is given: its provider, and the processor for nodes that only compute shapes."""
    provider = PROVIDERS[device]
    options = dict(provider.options)
    if device in ("cuda", "tensorrt") and hasattr(ort, "preload_dlls"):
        with redirect_stdout(io.StringIO()):  # it prints what it does not find
            ort.preload_dlls()
    if device != "tensorrt":
        return [(provider.name, options), ON_CPU]
    if card.precision == "fp16":
        raise UnsupportedError(
            f"TensorRT in ONNX Runtime does not keep the types of {artefact.name}; take --device cuda, or "
            f"build a plan: fiqa-export {artefact} --target tensorrt"
        )
    leave_tf32_out()
    options |= {"trt_int8_enable": "1"} if card.precision == "int8" else {}
    engines = user_cache() / "onnxruntime-tensorrt"
    with suppress(OSError):
        engines.mkdir(parents=True, exist_ok=True)
        options |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(engines)}
    options |= _profile(artefact, card)
    return [(provider.name, options), (_CUDA.name, dict(_CUDA.options)), ON_CPU]


def _profile(artefact: Path, card: Card) -> dict[str, str]:
    """The batches that TensorRT builds one engine for; without that, each larger batch would build another.

    Empty where more than the batch is free, as in detectors, or nothing is.
    """
    inputs = read_interface(artefact).inputs
    if not all(port.shape[:1] == (None,) and None not in port.shape[1:] for port in inputs):
        return {}
    sizes = {"min": 1, "opt": min(USUAL_BATCH, card.max_batch), "max": card.max_batch}
    return {
        f"trt_profile_{name}_shapes": ",".join(f"{p.name}:{'x'.join(map(str, (n, *p.shape[1:])))}" for p in inputs)
        for name, n in sizes.items()
    }


def _places(session: ort.InferenceSession, provider: Provider, artefact: str) -> dict[str, str]:
    """Where the nodes of a session run, for reports.

    Raises DependencyError where ONNX Runtime has gone on without the provider, UnsupportedError where it has given no
    node to it. Both would be scores of the processor under the name of another device.
    """
    used = session.get_providers()
    if not used or used[0] != provider.name:
        raise DependencyError(
            f"ONNX Runtime cannot start {provider.name} here and would go on with {', '.join(used)}; {provider.fix}"
        )
    told = {"provider": provider.name}
    try:
        parts = session.get_provider_graph_assignment_info()
    except (AttributeError, RuntimeError):  # before 1.24, or not in this build
        return told
    nodes: Counter[str] = Counter()
    for part in parts:
        nodes[part.ep_name] += len(part.get_nodes())
    there = nodes[provider.name]
    if nodes and not there:
        raise UnsupportedError(f"{provider.name} takes none of the nodes of {artefact}; take --device cpu")
    return told | ({"nodes": f"{there} of {nodes.total()}"} if nodes else {})


def lacks(device: str) -> str | None:
    """What ONNX Runtime lacks here to use `device`, and what to do about it; None where its provider is there."""
    provider, here = PROVIDERS[device], ort.get_available_providers()
    if provider.name in here:
        return None
    return f"ONNX Runtime {ort.__version__} has no {provider.name} here (it has {', '.join(here)}); {provider.fix}"


def open_artefact(
    artefact: Path, card: Card, threads: int | None, precision: CpuPrecision = "exact", device: str = CPU
) -> OnnxRuntimeBackend:
    """Load an ONNX file; raises ArtefactError where ONNX Runtime refuses it, DependencyError or UnsupportedError where
    `device` would not compute it."""
    return OnnxRuntimeBackend(artefact, card, threads, precision, device)

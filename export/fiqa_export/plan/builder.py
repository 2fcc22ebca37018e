"""Builds one plan from an ONNX file, and puts TensorRT's failures into one line.

Polygraphy configures the builder, runs it and keeps its timings. The network and the parser are made here, because
Polygraphy's errors do not say which node a parser refused, and because its logger prints what ours keeps.
"""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import onnx
from fiqa_runtime.backends.cuda.driver import Gpu, Shape, active
from fiqa_runtime.backends.tensorrt.engine import OUT_OF_MEMORY, error_log
from fiqa_runtime.errors import ArtefactError, FiqaError, InputError, UnsupportedError
from fiqa_runtime.system.files import user_cache

from fiqa_export.plan.progress import Progress, progress_monitor, stopping_on_ctrl_c
from fiqa_export.plan.target import PlanOptions, Target, import_polygraphy

Limits = tuple[Shape, Shape, Shape]
"""Smallest, usual and largest shape of an input."""
LONGEST_REASON = 400
CONSEQUENCES = re.compile(r"catchCudaError|cudaError 35|Begin node|End node")
"""Matches errors that only follow from other errors, or from a missing GPU."""
WORKSPACE = re.compile(r"workspace", re.IGNORECASE)

_log = cache(error_log)
"""One logger for all builds of this process, as TensorRT wants it."""


@dataclass(frozen=True)
class Built:
    """The result of a build."""

    plan: Any
    """The serialised plan, a buffer of bytes."""
    profile: Mapping[str, Limits]
    """The shapes that the plan takes, by input name."""
    layers: int
    """Number of layers of the network before TensorRT fuses them."""


def build(
    target: Target,
    path: Path,
    limits: Callable[[str, Shape], Limits],
    options: PlanOptions,
    progress: Progress,
) -> Built:
    """Build a plan of the ONNX file `path`, strongly typed and without TF32.

    `limits` gives the profile of an input from its name and its shape in the file, -1 where that is free. Raises
    ArtefactError where the file cannot be read, UnsupportedError where a node cannot be built or memory is short,
    InputError where timings cannot be kept, and what :func:`fiqa_export.plan.target.import_polygraphy` raises.
    """
    polygraphy = import_polygraphy(target.flavour)
    with _on_gpu(target), polygraphy.logger.G_LOGGER.verbosity(polygraphy.logger.G_LOGGER.CRITICAL + 1):
        log = _log(target.trt)
        log.errors.clear()
        builder = _builder(target, log)
        _check_dla(target, builder, options.dla)
        network = builder.create_network(_network_flags(target.trt))
        parser = _parse(target, network, log, path)
        inputs = [network.get_input(index) for index in range(network.num_inputs)]
        profile = {each.name: limits(each.name, tuple(each.shape)) for each in inputs}
        timings = timing_cache_path(target.driver.gpu, target.trt.__version__) if target.driver else None
        monitor = progress_monitor(target.trt, progress)
        config = _config(target, polygraphy.backend.trt, profile, options, timings, monitor)
        make = polygraphy.backend.trt.EngineBytesFromNetwork((builder, network, parser), config, timings)
        try:
            with stopping_on_ctrl_c(monitor):
                return Built(make(), profile, network.num_layers)
        except polygraphy.exception.PolygraphyException as error:
            raise _build_failure(target, log.errors, path, profile) from error
        except OSError as error:
            if timings is None:
                raise
            raise InputError(
                f"cannot keep {timings} ({error.strerror}); set XDG_CACHE_HOME to another folder"
            ) from error


def timing_cache_path(gpu: Gpu, version: str) -> str | None:
    """The file in which TensorRT keeps what it measured about its kernels, one per GPU and version.

    With it later builds take a fraction of the time. None where this user's cache folder cannot be written: then every
    build measures again.
    """
    folder = user_cache() / "timing"
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.]+", "-", f"{gpu.name} {gpu.compute_capability} tensorrt {version}").lower()
    return str(folder / f"{name}.cache") if os.access(folder, os.W_OK) else None


def _on_gpu(target: Target) -> AbstractContextManager[None]:
    return active(target.driver) if target.driver else nullcontext()


def _builder(target: Target, log: Any) -> Any:
    try:
        return target.trt.Builder(log)
    except TypeError as error:  # the binding raises it where the factory returned nothing
        reason = _reason(log.errors)
        raise UnsupportedError(f"{target} does not start on this GPU ({reason}); update the NVIDIA driver") from error


def _check_dla(target: Target, builder: Any, core: int | None) -> None:
    cores = getattr(builder, "num_DLA_cores", 0)
    if core is not None and not 0 <= core < cores:
        raise UnsupportedError(f"{target} sees {cores} DLA cores here, there is no core {core}; leave out --dla")


def _network_flags(trt: Any) -> int:
    """The flag for strong typing; TensorRT 11, which is always strongly typed, does not have it."""
    flag = trt.NetworkDefinitionCreationFlag.__members__.get("STRONGLY_TYPED")
    return 0 if flag is None else 1 << int(flag)


def _parse(target: Target, network: Any, log: Any, path: Path) -> Any:
    """Fill `network` from the file `path`. The parser that is returned owns the weights, so it has to outlive the
    build."""
    parser = target.trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(path)):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        raise _parse_failure(target, errors, path)
    return parser


def _config(
    target: Target, loaders: Any, profile: Mapping[str, Limits], options: PlanOptions, timings: str | None, monitor: Any
) -> Any:
    """Polygraphy's loader of the builder's configuration. TF32 stays off, as it is by default there."""
    trt, levels = target.trt, target.trt.HardwareCompatibilityLevel
    shapes = loaders.Profile()
    for name, limits in profile.items():
        shapes.add(name, *limits)

    def finish(builder: Any, network: Any, config: Any) -> None:
        if options.dla is not None:  # Polygraphy would take the first DLA, and set flags that strong typing excludes
            config.default_device_type = trt.DeviceType.DLA
            config.DLA_core = options.dla
            config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
        if timings and config.get_timing_cache() is None:  # TensorRT refused the file: it is of another GPU
            Path(timings).unlink()
            config.set_timing_cache(config.create_timing_cache(b""), False)
        _log(trt).errors.clear()

    create = loaders.CreateConfig(
        profiles=[shapes],
        memory_pool_limits=options.workspace and {trt.MemoryPoolType.WORKSPACE: options.workspace},
        builder_optimization_level=options.optimisation,
        version_compatible=options.version_compatible,
        exclude_lean_runtime=options.version_compatible,  # our runtime would not run its code
        hardware_compatibility_level=levels.AMPERE_PLUS if options.hardware_compatible else None,
        profiling_verbosity=trt.ProfilingVerbosity.LAYER_NAMES_ONLY,
        load_timing_cache=timings,
        progress_monitor=monitor,
    )
    return loaders.PostprocessConfig(create, finish)


def _parse_failure(target: Target, errors: list[Any], path: Path) -> FiqaError:
    named = [error for error in errors if error.node() >= 0]
    if not named:
        reason = _reason([error.desc() for error in errors])
        return ArtefactError(f"{target} cannot read {path.name} ({reason}); export it again")
    error = named[0]
    node = f"node '{error.node_name()}' ({error.node_operator()}) of {path.name}"
    if error.code().name.startswith("UNSUPPORTED"):
        return UnsupportedError(
            f"{target} has no {node}: {_reason([error.desc()])}; install a newer TensorRT, or run the ONNX file with "
            "--backend onnxruntime"
        )
    return UnsupportedError(
        f"{target} refuses {node}: {_reason([error.desc()])}; export it again with this fiqa-edge, "
        "and report this as a bug if that does not help"
    )


def _build_failure(target: Target, errors: deque[str], path: Path, profile: Mapping[str, Limits]) -> FiqaError:
    reason = _reason(errors)
    largest = max(limits[2][0] for limits in profile.values())
    less = max(largest // 2, 1)
    if any(OUT_OF_MEMORY.search(error) for error in errors):
        return UnsupportedError(
            f"not enough memory to build {path.name} for batches of {largest} ({reason}); close other programs on the "
            f"GPU, or build for less: --batch 1,{less},{less}"
        )
    if WORKSPACE.search(reason):
        return UnsupportedError(f"the workspace is too small for {path.name} ({reason}); give more with --workspace")
    return UnsupportedError(
        f"{target} cannot build {_culprit(' '.join(errors), path)}{path.name}: {reason}; install a newer TensorRT, "
        "or run the ONNX file with --backend onnxruntime"
    )


def _culprit(text: str, path: Path) -> str:
    """The first node of the file whose name stands in an error, as text; empty where there is none."""
    for node in onnx.load(str(path), load_external_data=False).graph.node:
        if node.name and re.search(rf"(?<![\w/.]){re.escape(node.name)}(?![\w/])", text):
            return f"node '{node.name}' ({node.op_type}) of "
    return ""


def _reason(messages: list[str] | deque[str]) -> str:
    """The last line of the first message that says more than that something failed."""
    lines = [[line for line in message.splitlines() if not CONSEQUENCES.search(line)] for message in messages]
    told = [each[-1].strip() for each in lines if each]
    reason = told[0] if told else ""
    return reason[:LONGEST_REASON] if reason not in ("", "false") else "it does not say why"

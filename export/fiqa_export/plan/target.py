"""Finds the TensorRT that builds a plan, and checks what can be asked of it."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from typing import Any

from fiqa_runtime.backends.cuda.driver import Driver
from fiqa_runtime.backends.cuda.open_driver import open_driver
from fiqa_runtime.backends.tensorrt.engine import import_tensorrt
from fiqa_runtime.backends.tensorrt.plan_facts import AMPERE, EXTRAS, TENSORRT_VERSIONS, numbers
from fiqa_runtime.errors import DependencyError, FiqaError, InputError, UnsupportedError

TARGETS = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}
"""Package by its name on the command line, in the order in which `auto` prefers them."""
FLAVOURS = tuple(TARGETS.values())
"""Names of the packages, in the order in which `auto` prefers them."""
WORKSPACE_SHARE = 0.5
"""Share of the free memory that a layer may use by default where processor and GPU share their memory. The rest is for
the plan itself and for other programs."""
LARGEST_BATCH = 4096
"""The largest batch that the ONNX files of fiqa-export take."""
OPTIMISATION_LEVELS = range(6)
RTX_HAS_NO = {
    "version_compatible": "its plans run with the version that built them",
    "hardware_compatible": "its plans run on every Ampere or later RTX GPU as they are",
    "dla": "it builds for GPUs only",
}
"""Options that have no effect in TensorRT-RTX or that it refuses, each with the reason."""


@dataclass(frozen=True)
class PlanOptions:
    """How to build a plan."""

    target: str = "auto"
    """`auto`, `tensorrt` or `tensorrt-rtx`."""
    batch: tuple[int, int, int] | None = None
    """Smallest, usual and largest batch; None: 1, 8 and 32, less for large networks."""
    workspace: int | None = None
    """Bytes of GPU memory that a layer may use to compute; None: half of what is free on integrated GPUs, else all."""
    optimisation: int | None = None
    """0 (quick build) to 5 (quick plan); None: TensorRT's default, 3."""
    version_compatible: bool = False
    """Whether later versions of TensorRT run the plan too, through the lean runtime of this one."""
    hardware_compatible: bool = False
    """Whether other Ampere and later GPUs run the plan too."""
    dla: int | None = None
    """Number of the deep learning accelerator to build for; what it cannot compute runs on the GPU."""


@dataclass(frozen=True)
class Target:
    """A TensorRT that is imported and can build plans here."""

    trt: Any
    """The imported package."""
    flavour: str
    """Its name: `tensorrt` or `tensorrt_rtx`."""
    driver: Driver | None
    """The GPU that the plan is for; None for TensorRT-RTX, which builds for any."""

    def __str__(self) -> str:
        return f"{self.flavour} {self.trt.__version__}"


@dataclass(frozen=True)
class PlanOrder:
    """A plan to build: by which TensorRT, and how. :func:`order_plan` has checked that the two go together."""

    target: Target
    options: PlanOptions


class NoBuilderError(DependencyError):
    """Nothing here can build a plan, and the user asked for no TensorRT by name: the message says why, with the fix."""


def order_plan(options: PlanOptions, precision: str) -> PlanOrder:
    """Find the TensorRT that builds a plan of `precision` as `options` ask, before any long work starts.

    Raises InputError or UnsupportedError where such a plan cannot be built. Where there is nothing to build it with:
    NoBuilderError for the target `auto`, for any other what :func:`find_target` and :func:`import_polygraphy` raise.
    """
    check_ranges(options)
    try:
        target = find_target(options.target)
        import_polygraphy(target.flavour)
    except FiqaError as error:
        if options.target != "auto":
            raise
        raise NoBuilderError(str(error)) from error
    check_options(options, target, precision)
    return PlanOrder(target, options)


def find_target(name: str) -> Target:
    """The TensorRT to build with; `auto` takes the first that can build here.

    Raises DependencyError where it is not installed, UnsupportedError where it needs a GPU and finds none, InputError
    for an unknown name.
    """
    if name == "auto":
        return _first_target()
    if name not in TARGETS:
        raise InputError(f"unknown target '{name}'; choose auto, {', '.join(TARGETS)}")
    flavour = TARGETS[name]
    trt = import_tensorrt(flavour)
    if flavour == "tensorrt_rtx":
        return Target(trt, flavour, None)
    if not TENSORRT_VERSIONS[0] <= numbers(trt.__version__) < TENSORRT_VERSIONS[1]:
        raise UnsupportedError(f"TensorRT {trt.__version__} is installed, fiqa-edge builds with 10.3 to 11; change it")
    return Target(trt, flavour, open_driver())


def _first_target() -> Target:
    failure: FiqaError = DependencyError(
        "TensorRT is not installed; on Jetson apt install python3-libnvinfer, with another NVIDIA GPU "
        "pip install 'fiqa-edge[tensorrt]', without one pip install 'fiqa-edge[rtx]'"
    )
    for name, flavour in TARGETS.items():
        if importlib.util.find_spec(flavour):
            try:
                return find_target(name)
            except FiqaError as error:
                failure = error
    raise failure


def import_polygraphy(flavour: str) -> Any:
    """Polygraphy with its TensorRT loaders for `flavour`. It chooses the flavour once per process, when it is imported.

    Raises DependencyError where it is not installed, UnsupportedError where it was imported for the other flavour.
    """
    rtx = flavour == "tensorrt_rtx"
    os.environ["POLYGRAPHY_USE_TENSORRT_RTX"] = str(int(rtx))
    try:
        import polygraphy.backend.trt
    except ImportError as error:
        raise DependencyError(
            f"polygraphy cannot be imported ({error}); pip install polygraphy, or 'fiqa-edge[{EXTRAS[flavour]}]'"
        ) from error
    if rtx != polygraphy.config.USE_TENSORRT_RTX:
        raise UnsupportedError(f"this process has Polygraphy for another TensorRT than {flavour}; build in a new one")
    return polygraphy


def check_options(options: PlanOptions, target: Target, precision: str) -> None:
    """Raise InputError or UnsupportedError where `target` cannot build a plan of `precision` as `options` ask."""
    if target.driver is None:
        asked = [name for name in RTX_HAS_NO if getattr(options, name) != getattr(PlanOptions, name)]
        if asked:
            flag = f"--{asked[0].replace('_', '-')}"
            raise UnsupportedError(f"TensorRT-RTX has no {flag}, {RTX_HAS_NO[asked[0]]}; leave it out")
        return
    gpu = target.driver.gpu
    if options.hardware_compatible and (gpu.integrated or numbers(gpu.compute_capability) < AMPERE):
        why = "Jetson plans run on one model only" if gpu.integrated else "that takes an Ampere or later GPU"
        raise UnsupportedError(f"no --hardware-compatible plan can be built on {gpu.name}, {why}; leave it out")
    if options.dla is not None:
        _check_dla(options, target, precision)


def check_ranges(options: PlanOptions) -> None:
    """Raise InputError where a number of `options` is out of its range, whatever the target."""
    smallest, usual, largest = options.batch or (1, 1, 1)
    if not 1 <= smallest <= usual <= largest <= LARGEST_BATCH:
        raise InputError(
            f"--batch {smallest},{usual},{largest} is not a range; give the smallest, the usual and the largest "
            f"batch in this order, from 1 to {LARGEST_BATCH}"
        )
    if options.optimisation is not None and options.optimisation not in OPTIMISATION_LEVELS:
        raise InputError(f"optimisation level {options.optimisation} does not exist; choose 0 to 5")
    if options.workspace is not None and options.workspace <= 0:
        raise InputError(f"a workspace of {options.workspace} bytes is too small; give at least 1 MiB or leave it out")


def _check_dla(options: PlanOptions, target: Target, precision: str) -> None:
    if precision == "fp32":
        raise UnsupportedError("a DLA computes in fp16 and int8 only; add --fp16 or --int8, or leave out --dla")
    if options.version_compatible or options.hardware_compatible:
        raise UnsupportedError("a DLA plan runs with one version on one model only; leave out the compatible flags")
    if options.batch is not None and len(set(options.batch)) > 1:
        raise InputError(f"a DLA takes batches of one size; give it thrice, as in --batch {','.join('1' * 3)}")

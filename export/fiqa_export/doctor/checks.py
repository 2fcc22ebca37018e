"""Judges the facts about a machine: a line each on what is there, what is wrong with it, what to do, and what it
prevents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fiqa_runtime.backends.tensorrt.plan_facts import EXTRAS, TENSORRT_VERSIONS, numbers

from fiqa_export.doctor.facts import EXPORT_PACKAGES, Facts, TensorRt
from fiqa_export.doctor.jetpack import Shipped, has_kernels, jetpack_version, shipped_with
from fiqa_export.doctor.line import Line, Status
from fiqa_export.doctor.runtime_checks import check_devices, check_opencv
from fiqa_export.plan.target import FLAVOURS, TARGETS, WORKSPACE_SHARE

NEEDED_FLAVOURS = {"auto": (), **{target: (flavour,) for target, flavour in TARGETS.items()}}
"""The flavours of TensorRT that each target needs. `auto` takes what there is; without any it must still export
ONNX."""
LITTLE_MEMORY = 1 << 30
OLDEST_PYTHON = (3, 10)


@dataclass(frozen=True)
class Diagnosis:
    """The whole screen."""

    target: str
    lines: tuple[Line, ...]
    flavours: tuple[str, ...]
    """Flavours that can build plans here, the preferred one first."""
    works: bool
    """Whether the target can work."""

    @property
    def exports(self) -> bool:
        """Whether networks can be exported. Without that, plans of finished ONNX files may still be built."""
        return all("export" not in line.stops for line in self.lines)

    @property
    def stopper(self) -> Line:
        """The first line that stops the target."""
        return next(line for line in self.lines if line.status == "bad")


def judge_facts(facts: Facts, target: str) -> Diagnosis:
    """What can be built here for `target`, a key of NEEDED_FLAVOURS, and every line with its status."""
    lines = [line for check in CHECKS for line in check(facts, target)]
    stopped = {what for line in lines for what in line.stops}
    flavours = tuple(flavour for flavour in FLAVOURS if flavour not in stopped)
    needed = set(NEEDED_FLAVOURS[target]) or (set() if flavours else {"export"})
    judged = tuple(_with_status(line, needed) for line in lines)
    return Diagnosis(target, judged, flavours, not needed & stopped)


def sensible_workspace(facts: Facts) -> int | None:
    """Bytes that the builder may use by default where processor and GPU share memory, which is WORKSPACE_SHARE of what
    the driver calls free. None on other machines, where there is no limit."""
    if facts.gpu is None or facts.gpu_memory is None or not facts.gpu.integrated:
        return None
    return int(WORKSPACE_SHARE * facts.gpu_memory[0])


def _with_status(line: Line, needed: set[str]) -> Line:
    whole: Status = "absent" if line.stops else "ok"
    status: Status = "bad" if needed & set(line.stops) else "warning" if line.fix else whole
    return replace(line, status=status)


def _jetpack(facts: Facts) -> str | None:
    return jetpack_version(facts.l4t, facts.apt.get("nvidia-jetpack"))


def _shipped(facts: Facts) -> Shipped | None:
    return shipped_with(_jetpack(facts))


def _find(facts: Facts, flavour: str) -> TensorRt | None:
    return next((trt for trt in facts.tensorrt if trt.flavour == flavour), None)


def _python(facts: Facts, target: str) -> Iterator[Line]:
    fix = None
    if numbers(facts.python) < OLDEST_PYTHON:
        fix = "fiqa-edge needs Python 3.10 or newer; on Jetson that is JetPack 6.1 or newer"
    view = "sees apt's packages" if facts.sees_apt else "sees pip's packages only"
    yield Line("Python", f"{facts.python} on {facts.architecture}, {view}", fix, ("export", *FLAVOURS) if fix else ())


def _jetson(facts: Facts, target: str) -> Iterator[Line]:
    if facts.l4t is None:
        yield Line("JetPack", "none: this is not a Jetson, or a container hides it")
        return
    jetpack, shipped = _jetpack(facts), _shipped(facts)
    if jetpack is None or shipped is None:
        fix = "fiqa-edge does not know this JetPack: see that TensorRT below is 10.3 to 11, or take JetPack 6.2 or 7.2"
        yield Line("JetPack", f"{jetpack or 'unknown'} (Jetson Linux {facts.l4t})", fix)
        return
    old = numbers(shipped.tensorrt) < TENSORRT_VERSIONS[0]
    yield Line(
        "JetPack",
        f"{jetpack} (Jetson Linux {facts.l4t}): ships TensorRT {shipped.tensorrt}, CUDA {shipped.cuda}, "
        f"Python {shipped.python}",
        f"TensorRT {shipped.tensorrt} is too old: flash JetPack 6.2 or 7.2" if old else None,
    )


def _gpu(facts: Facts, target: str) -> Iterator[Line]:
    if facts.gpu is None:
        fix = "install NVIDIA's driver and run nvidia-smi; only --target tensorrt-rtx builds without a GPU"
        yield Line("GPU", f"none ({facts.gpu_error})", fix, ("tensorrt",))
        return
    kind = "integrated, shares the processor's memory" if facts.gpu.integrated else "with memory of its own"
    yield Line("GPU", f"{facts.gpu.name}, compute capability {facts.gpu.compute_capability}, {kind}")
    yield Line("driver", f"{facts.driver or 'without a number'}, runs CUDA up to {facts.gpu.driver}")


def _toolkit(facts: Facts, target: str) -> Iterator[Line]:
    text = f"toolkit {facts.toolkit}" if facts.toolkit else "no toolkit in /usr/local/cuda; pycuda wants it to install"
    yield Line("CUDA", text)


def _tensorrt(facts: Facts, target: str) -> Iterator[Line]:
    for flavour in FLAVOURS:
        trt = _find(facts, flavour)
        if trt is None:
            yield _missing(facts, flavour, target)
        elif trt.version is None:
            fix = "install it again, from one source only (pip or apt), for this Python"
            yield Line(flavour, f"cannot be imported: {trt.error}", fix, (flavour,))
        else:
            yield from _found(facts, trt, trt.version)


def _missing(facts: Facts, flavour: str, target: str) -> Line:
    asked = flavour in NEEDED_FLAVOURS[target]
    if facts.l4t is not None and flavour == "tensorrt":
        if "python3-libnvinfer" not in facts.apt:
            fix = "sudo apt install python3-libnvinfer"
        else:
            shipped = _shipped(facts)
            python = f"python{shipped.python}" if shipped else "python3"
            fix = f"apt installed it for another Python: {python} -m venv --system-site-packages .venv"
    elif facts.l4t is not None:
        fix = "there is none for Jetson: take --target tensorrt"
    else:
        fix = f"pip install 'fiqa-edge[{EXTRAS[flavour]}]'"
    other_is_there = any(trt.flavour != flavour and trt.version for trt in facts.tensorrt)
    quiet = not asked and (other_is_there or flavour == "tensorrt_rtx")
    return Line(flavour, "not installed", None if quiet else fix, (flavour,))


def _found(facts: Facts, trt: TensorRt, version: str) -> Iterator[Line]:
    oldest, end = TENSORRT_VERSIONS
    text = f"{version} from {trt.place}" + (f", for CUDA {trt.cuda}" if trt.cuda else "")
    if trt.flavour == "tensorrt" and not oldest <= numbers(version) < end:
        yield Line(trt.flavour, text, "fiqa-edge builds with TensorRT 10.3 to 11: install one of them", (trt.flavour,))
        return
    if facts.gpu is not None and trt.cuda is not None and trt.cuda > numbers(facts.gpu.driver)[0]:
        fix = f"the driver runs CUDA {facts.gpu.driver}: update it, or install the package for that CUDA"
        yield Line(trt.flavour, text, fix, (trt.flavour,) if trt.flavour == "tensorrt" else ())
    else:
        yield Line(trt.flavour, text)
    if facts.gpu is not None:
        yield _kernels(facts, trt, version, facts.gpu.compute_capability)


def _kernels(facts: Facts, trt: TensorRt, version: str, capability: str) -> Line:
    answer = has_kernels(trt, capability, _jetpack(facts))
    topic, gpu = "kernels", f"GPUs of compute capability {capability}"
    if answer is None:
        return Line(
            topic, f"it is not known whether {trt.flavour} {version} has kernels for {gpu}", "try it: the builder tells"
        )
    if answer:
        return Line(topic, f"{trt.flavour} {version} has kernels for {gpu}")
    if trt.flavour == "tensorrt_rtx":
        return Line(
            topic,
            f"{trt.flavour} {version} has no kernels for {gpu}: it builds plans that do not run here",
            "take --target tensorrt",
        )
    shipped = _shipped(facts)
    fix = "install a TensorRT that has them"
    if facts.l4t is not None and shipped is not None:
        fix = f"go back to JetPack's {shipped.tensorrt}: sudo apt install python3-libnvinfer"
        if trt.place == "pip":
            fix = f"take JetPack's {shipped.tensorrt}: {_uninstall(trt)}, then sudo apt install python3-libnvinfer"
    return Line(topic, f"{trt.flavour} {version} has no kernels for {gpu}", fix, (trt.flavour,))


def _conflict(facts: Facts, target: str) -> Iterator[Line]:
    ours, apt = _find(facts, "tensorrt"), facts.apt.get("python3-libnvinfer")
    if ours is None or ours.version is None or ours.place == "apt" or apt is None or not facts.sees_apt:
        return
    if numbers(apt)[:3] != numbers(ours.version)[:3]:
        fix = f"keep one: {_uninstall(ours)}, or work in a virtual environment of its own"
        yield Line("conflict", f"pip's tensorrt {ours.version} hides apt's {apt}", fix)


def _uninstall(trt: TensorRt) -> str:
    return f"pip uninstall {' '.join(trt.packages)}"


def _memory(facts: Facts, target: str) -> Iterator[Line]:
    shared = facts.gpu is None or facts.gpu.integrated
    room, where = (facts.memory, "of the processor") if shared else (facts.gpu_memory, "of the GPU")
    if room is None:
        yield Line("memory", "unknown: no /proc/meminfo")
        return
    workspace = sensible_workspace(facts)
    advice = f"; --workspace by default: {_gib(workspace)}" if workspace is not None else ""
    fix = "close other programs before a plan is built" if room[0] < LITTLE_MEMORY else None
    yield Line("memory", f"{_gib(room[0])} of {_gib(room[1])} {where} available{advice}", fix)


def _access(facts: Facts, target: str) -> Iterator[Line]:
    names = [name for name in ("pycuda", "cuda-bindings") if name in facts.packages]
    if names:
        yield Line("GPU access", ", ".join(f"{name} {facts.packages[name]}" for name in names))
    else:
        fix = "pip install pycuda (it wants the CUDA toolkit), or pip install cuda-bindings"
        yield Line(
            "GPU access",
            "neither pycuda nor cuda-python is installed, which building and running plans need",
            fix,
            ("tensorrt",),
        )


def _builder(facts: Facts, target: str) -> Iterator[Line]:
    if "polygraphy" in facts.packages:
        yield Line("Polygraphy", facts.packages["polygraphy"])
    else:
        yield Line("Polygraphy", "not installed, plans are built with it", "pip install polygraphy", FLAVOURS)


def _exporter(facts: Facts, target: str) -> Iterator[Line]:
    missing = [name for name in EXPORT_PACKAGES if name not in facts.exporters]
    if "onnx" in missing:
        fix = "pip install onnx to build plans of ONNX files, pip install 'fiqa-edge[export]' to export them too"
        yield Line("export", f"{', '.join(missing)} not installed", fix, ("export", *FLAVOURS))
    elif missing:
        fix = "pip install 'fiqa-edge[export]', or export elsewhere: fiqa-export FILE.onnx builds its plan without them"
        yield Line("export", f"{', '.join(missing)} not installed", fix, ("export",))
    else:
        yield Line("export", ", ".join(f"{name} {facts.packages.get(name, '')}".strip() for name in ("torch", "onnx")))


CHECKS = (
    *(_python, _jetson, _gpu, _toolkit, _tensorrt, _conflict, _memory, _access, _builder, _exporter),
    *(check_opencv, check_devices),
)
"""All checks, in the order of the screen."""


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"

"""Judges what runs ONNX files on a machine: OpenCV, the builds of ONNX Runtime, and the devices that they reach."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fiqa_runtime.backends.tensorrt.plan_facts import numbers

from fiqa_export.doctor.facts import APT_OPENCV, Facts, OpenCv
from fiqa_export.doctor.line import Line
from fiqa_export.plan.target import FLAVOURS

OLDEST_OPENCV = (4, 8)


def check_opencv(facts: Facts, target: str) -> Iterator[Line]:
    """The OpenCV that Python imports, without which nothing works."""
    if facts.opencv is None:
        yield Line("OpenCV", "cannot be imported", "pip install 'fiqa-edge[headless]'", ("export", *FLAVOURS))
        return
    cuda, gstreamer = ("with" if have else "without" for have in (facts.opencv.cuda, facts.opencv.gstreamer))
    yield Line(
        "OpenCV", f"{facts.opencv.version}, {cuda} CUDA, {gstreamer} GStreamer", _opencv_fix(facts, facts.opencv)
    )


def _opencv_fix(facts: Facts, opencv: OpenCv) -> str | None:
    hidden = [name for name in APT_OPENCV if name in facts.apt and facts.sees_apt]
    wheels = " ".join(opencv.packages)
    if numbers(opencv.version) < OLDEST_OPENCV:
        return "fiqa-edge needs OpenCV 4.8 or newer: pip install -U 'fiqa-edge[headless]'"
    if len(opencv.packages) > 1:
        both = " and ".join(opencv.packages)
        return f"{both} overwrite each other: pip uninstall -y {wheels}, then pip install the one you want"
    if opencv.packages and hidden:
        return f"pip's {wheels} hides apt's {hidden[0]} {facts.apt[hidden[0]]}; for that one: pip uninstall -y {wheels}"
    return None


def check_devices(facts: Facts, target: str) -> Iterator[Line]:
    """The devices that ONNX files run on here, and in which backends."""
    if not facts.devices:
        yield Line("devices", "unknown: the backends cannot be asked")
        return
    ready = {name: [each for each, lack in found.items() if not lack] for name, found in facts.devices.items()}
    here = "; ".join(f"{name} ({', '.join(backends)})" for name, backends in ready.items() if backends)
    missing = [name for name, backends in ready.items() if not backends]
    told = f"; not here: {', '.join(missing)} (fiqa-score --explain says why)" if missing else ""
    yield Line("devices", f"ONNX files run on {here}{told}", _onnxruntime_fix(facts))


def _onnxruntime_fix(facts: Facts) -> str | None:
    """What to do where several builds of ONNX Runtime are installed: the last one has overwritten the others."""
    builds = sorted(name for name in facts.packages if re.fullmatch("onnxruntime(-gpu|-directml)?", name))
    if len(builds) < 2:
        return None
    return f"{' and '.join(builds)} overwrite each other: pip uninstall -y {' '.join(builds)}, then pip install one"

"""What a machine has for building TensorRT plans, as plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fiqa_runtime.backends.cuda.driver import Gpu

Place = Literal["pip", "apt"]
EXPORT_PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "scipy", "matplotlib")
"""What exporting needs, as it is imported; the plan of a finished ONNX file needs onnx alone."""


@dataclass(frozen=True)
class TensorRt:
    """One flavour of TensorRT that Python finds."""

    flavour: str
    """`tensorrt` or `tensorrt_rtx`."""
    version: str | None
    """None where it cannot be imported."""
    place: Place
    """Who installed the one that Python imports."""
    cuda: int | None
    """Major version of CUDA that it was built for; None where its packages do not say."""
    packages: tuple[str, ...] = ()
    """Packages of it that pip installed."""
    capabilities: tuple[str, ...] = ()
    """Compute capabilities that it lists, like `8.9`; empty for `tensorrt`, which lists none."""
    error: str | None = None
    """Why it cannot be imported."""


@dataclass(frozen=True)
class OpenCv:
    """The OpenCV that Python imports."""

    version: str
    cuda: bool
    """Whether it was built with CUDA, which this project does not need."""
    gstreamer: bool
    """Whether it reads cameras through GStreamer, as on Jetson."""
    packages: tuple[str, ...]
    """Packages from pip that bring it; more than one overwrite each other."""


@dataclass(frozen=True)
class Facts:
    """Everything the doctor looks at."""

    python: str
    """Like `3.10.12`."""
    sees_apt: bool
    """Whether this Python sees packages that apt installed: no virtual environment, or one that lets them in."""
    architecture: str
    """`x86_64` or `aarch64`."""
    l4t: str | None
    """Version of Jetson Linux, like `36.4.3`; None where this is no Jetson."""
    apt: Mapping[str, str]
    """Versions of NVIDIA's packages that apt installed, by name."""
    packages: Mapping[str, str]
    """Versions of the Python packages that building, running and exporting need, by name; those installed."""
    exporters: tuple[str, ...]
    """Those of EXPORT_PACKAGES that Python finds, whatever packages bring them, such as onnxruntime-gpu."""
    tensorrt: tuple[TensorRt, ...]
    """The flavours found."""
    toolkit: str | None
    """Version of the CUDA toolkit in its usual place."""
    driver: str | None
    """Version of NVIDIA's kernel driver; None where there is none or it has no number, as on some Jetsons."""
    gpu: Gpu | None
    """GPU 0; its `driver` is the newest CUDA version that the driver runs."""
    gpu_error: str | None
    """Why there is no GPU."""
    gpu_memory: tuple[int, int] | None
    """Bytes free and in all, as the driver says."""
    memory: tuple[int, int] | None
    """Bytes available and in all, of the processor, as Linux says; an integrated GPU shares them."""
    opencv: OpenCv | None
    """None where it cannot be imported."""

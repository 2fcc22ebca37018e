"""The facts about a machine that building and running depend on, as frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fiqa_runtime.backends.cuda.driver import Gpu

Place = Literal["pip", "apt"]
EXPORT_PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime", "scipy", "matplotlib")
"""Packages that exporting needs, by the name of the import. The plan of a finished ONNX file needs onnx alone."""
APT_OPENCV = ("python3-opencv", "libopencv-python")
"""Packages of apt that contain OpenCV for Python: Debian's, and JetPack's."""


@dataclass(frozen=True)
class TensorRt:
    """One flavour of TensorRT that this Python finds."""

    flavour: str
    """`tensorrt` or `tensorrt_rtx`."""
    version: str | None
    """Its version; None where it cannot be imported."""
    place: Place
    """Which package manager installed the one that Python imports."""
    cuda: int | None
    """Major version of CUDA that it was built for; None where its packages do not say."""
    packages: tuple[str, ...] = ()
    """Its packages that pip installed."""
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
    """Packages from pip that contain it; several of them overwrite each other."""


@dataclass(frozen=True)
class Facts:
    """Everything the doctor looks at."""

    python: str
    """Version of Python, like `3.10.12`."""
    sees_apt: bool
    """Whether this Python sees packages that apt installed: outside virtual environments, or in one that lets them
    in."""
    architecture: str
    """`x86_64` or `aarch64`."""
    l4t: str | None
    """Version of Jetson Linux, like `36.4.3`; None where this is not a Jetson."""
    apt: Mapping[str, str]
    """Versions of the packages of NVIDIA and of OpenCV that apt installed, by name."""
    packages: Mapping[str, str]
    """Versions, by name, of the installed Python packages that building, running and exporting need."""
    exporters: tuple[str, ...]
    """Those of EXPORT_PACKAGES that can be imported, whichever package contains them, such as onnxruntime-gpu."""
    tensorrt: tuple[TensorRt, ...]
    """The flavours found."""
    toolkit: str | None
    """Version of the CUDA toolkit in its usual place; None where it is not there."""
    driver: str | None
    """Version of NVIDIA's kernel driver; None where it is not loaded or does not say, as on some Jetsons."""
    gpu: Gpu | None
    """GPU 0; its `driver` is the newest CUDA version that the driver runs."""
    gpu_error: str | None
    """Why there is no GPU."""
    gpu_memory: tuple[int, int] | None
    """Free bytes and all bytes of the GPU, as the driver says."""
    memory: tuple[int, int] | None
    """Available bytes and all bytes of the processor, as Linux says; an integrated GPU shares them."""
    opencv: OpenCv | None
    """The OpenCV that Python imports; None where it cannot be imported."""
    devices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By device and by backend that serves it: what is lacking here to run ONNX files there, empty where nothing is."""

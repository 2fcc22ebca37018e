"""Answers questions that load foreign libraries, each in a process of its own, by one JSON object on stdout.

    python -m fiqa_export.doctor.probe cuda|tensorrt|tensorrt_rtx|opencv|devices|packages

If a library crashes, only its own answer is lost.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import re
import sys
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from fiqa_export.doctor.facts import EXPORT_PACKAGES

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
INTEGRATED, MAJOR, MINOR = 18, 75, 76
"""Values of the enumeration CUdevice_attribute."""
ASKED_FOR = re.compile(
    "|".join((r"tensorrt.*|pycuda|cuda-bindings|polygraphy|opencv-.*|onnxruntime-.*", *EXPORT_PACKAGES))
)


def cuda() -> dict[str, Any]:
    """The CUDA version of the driver and what GPU 0 is, or why there is no GPU."""
    try:
        library = ctypes.CDLL(LIBRARY)
    except OSError as error:
        return {"error": str(error)}
    try:
        return _gpu(library)
    except RuntimeError as error:
        return {"error": str(error)}


def _gpu(library: ctypes.CDLL) -> dict[str, Any]:
    def call(name: str, *arguments: Any) -> None:
        status = getattr(library, name)(*arguments)
        if status:
            text = ctypes.c_char_p()
            library.cuGetErrorString(status, ctypes.byref(text))
            raise RuntimeError(f"{name}: {(text.value or b'').decode() or f'error {status}'}")

    def attribute(number: int) -> int:
        value = ctypes.c_int()
        call("cuDeviceGetAttribute", ctypes.byref(value), number, device)
        return value.value

    version, device, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    call("cuInit", 0)
    call("cuDriverGetVersion", ctypes.byref(version))
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuDeviceGetName", name, len(name), device)
    context, free, total = ctypes.c_void_p(), ctypes.c_size_t(), ctypes.c_size_t()
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    call("cuCtxPushCurrent_v2", context)
    call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    call("cuCtxPopCurrent_v2", ctypes.byref(context))
    call("cuDevicePrimaryCtxRelease_v2", device)
    return {
        "name": name.value.decode(),
        "compute_capability": f"{attribute(MAJOR)}.{attribute(MINOR)}",
        "integrated": bool(attribute(INTEGRATED)),
        "driver": f"{version.value // 1000}.{version.value % 1000 // 10}",
        "free": free.value,
        "total": total.value,
    }


def tensorrt(flavour: str) -> dict[str, Any]:
    """Version, file and listed compute capabilities of one flavour of TensorRT; empty where it is not installed."""
    try:
        trt = importlib.import_module(flavour)
    except ImportError as error:
        return {} if isinstance(error, ModuleNotFoundError) and error.name == flavour else {"error": str(error)}
    listed = getattr(trt, "ComputeCapability", None)
    names = [name[2:] for name in listed.__members__ if name.startswith("SM")] if listed else []
    return {
        "version": trt.__version__,
        "file": trt.__file__,
        "capabilities": [f"{name[:-1]}.{name[-1]}" for name in names],
    }


def opencv() -> dict[str, Any]:
    """The version of OpenCV, and whether it was built with CUDA and with GStreamer."""
    try:
        import cv2
    except ImportError as error:
        return {"error": str(error)}
    build = cv2.getBuildInformation()
    return {
        "version": cv2.__version__,
        "cuda": bool(re.search(r"NVIDIA CUDA:\s+YES", build)),
        "gstreamer": bool(re.search(r"GStreamer:\s+YES", build)),
    }


def devices() -> dict[str, Any]:
    """By device and by backend that serves it: what is lacking to run ONNX files there, empty where nothing is."""
    from fiqa_runtime.backends import devices_here

    return dict(devices_here())


def packages() -> dict[str, Any]:
    """Name, version and folder of every Python package in question, in the order of the search path; and which of the
    packages that an export needs can be imported."""
    found = []
    for distribution in metadata.distributions():
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
        if ASKED_FOR.fullmatch(name):
            found.append([name, distribution.version, str(distribution.locate_file(""))])
    return {"packages": found, "exporters": [name for name in EXPORT_PACKAGES if find_spec(name)]}


PROBES: dict[str, Callable[[], dict[str, Any]]] = {
    "cuda": cuda,
    "tensorrt": lambda: tensorrt("tensorrt"),
    "tensorrt_rtx": lambda: tensorrt("tensorrt_rtx"),
    "opencv": opencv,
    "devices": devices,
    "packages": packages,
}


def main() -> None:
    """Entry point of the process."""
    sys.stdout.write(json.dumps(PROBES[sys.argv[1]]()) + "\n")

"""Machines for the doctor, as files, command outputs and answers of libraries.

The lines of Jetsons are put together from logs that their owners published (L4T, dpkg, driver, CUDA and OpenCV
versions as they stand there); none was read on hardware of this project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fiqa_export.doctor.facts import EXPORT_PACKAGES

SITE = "/home/user/.local/lib/python3.10/site-packages"
EXPORT = [
    ["torch", "2.8.0"],
    ["onnx", "1.18.0"],
    ["onnxscript", "0.5.0"],
    ["onnxruntime", "1.23.0"],
    ["scipy", "1.15.0"],
    ["matplotlib", "3.10.0"],
]
DEVICES = {
    "cpu": {"onnxruntime": "", "openvino": "backend openvino is not installed", "opencv": ""},
    "cuda": {"onnxruntime": "no CUDAExecutionProvider", "opencv": "built without CUDA"},
}
"""What a plain ONNX Runtime and a wheel of OpenCV say of devices."""
COMMON = [*EXPORT, ["pycuda", "2024.1.2"], ["polygraphy", "0.53.6"]]


@dataclass(frozen=True)
class RecordedMachine:
    """Answers from what was recorded; a file or command that was not is not there."""

    python: str
    architecture: str
    files: Mapping[str, str]
    dpkg: str
    probes: Mapping[str, Mapping[str, Any]]
    sees_apt: bool = True
    packages: tuple[tuple[str, str, str], ...] = field(default=tuple((name, version, SITE) for name, version in COMMON))

    def read(self, path: str) -> str | None:
        return self.files.get(path)

    def run(self, command: tuple[str, ...]) -> str | None:
        return self.dpkg if command[0] == "dpkg-query" else None

    def probe(self, what: str) -> Mapping[str, Any]:
        if what == "devices":
            return self.probes.get(what, DEVICES)
        return self.installed() if what == "packages" else self.probes[what]

    def installed(self) -> Mapping[str, Any]:
        """Packages, of which onnxruntime-gpu brings onnxruntime."""
        brought = [name.removesuffix("-gpu") for name, *_ in self.packages]
        exporters = [name for name in EXPORT_PACKAGES if name in brought]
        return {"packages": [list(entry) for entry in self.packages], "exporters": exporters}

    def with_probe(self, what: str, **answer: Any) -> RecordedMachine:
        """The same machine with another answer; without one, with nothing installed."""
        return replace(self, probes={**self.probes, what: answer})

    def with_file(self, path: str, text: str) -> RecordedMachine:
        return replace(self, files={**self.files, path: text})

    def with_package(self, name: str, version: str) -> RecordedMachine:
        return replace(self, packages=((name, version, SITE), *self.packages))

    def without_package(self, *names: str) -> RecordedMachine:
        return replace(self, packages=tuple(entry for entry in self.packages if entry[0] not in names))

    def with_pip_tensorrt(self, version: str, cuda: int) -> RecordedMachine:
        """pip's TensorRT in front of whatever else is there."""
        answer = {"version": version, "file": f"{SITE}/tensorrt/__init__.py", "capabilities": []}
        packed = self.with_package(f"tensorrt-cu{cuda}", version).with_package("tensorrt", version)
        return packed.with_probe("tensorrt", **answer)


def gpu(name: str, capability: str, driver: str, integrated: bool, gigabytes: int) -> dict[str, Any]:
    size = gigabytes << 30
    return {
        "name": name,
        "compute_capability": capability,
        "driver": driver,
        "integrated": integrated,
        "free": size // 2,
        "total": size,
    }


def meminfo(total: int, available: int) -> str:
    return f"MemTotal:       {total} kB\nMemFree:          204800 kB\nMemAvailable:   {available} kB\n"


def apt_tensorrt(version: str, python: str) -> dict[str, Any]:
    return {
        "version": version,
        "file": f"/usr/lib/python{python}/dist-packages/tensorrt/__init__.py",
        "capabilities": [],
    }


def tegra_release(release: str, revision: str, build: str, date: str) -> str:
    return (
        f"# {release} (release), REVISION: {revision}, GCID: {build}, BOARD: generic, EABI: aarch64, DATE: {date}\n"
        "# KERNEL_VARIANT: oot\nTARGET_USERSPACE_LIB_DIR=nvidia\n"
    )


def toolkit(version: str) -> str:
    return f'{{"cuda": {{"name": "CUDA SDK", "version": "{version}"}}}}'


ORIN_JETPACK_6_2 = RecordedMachine(
    python="3.10.12",
    architecture="aarch64",
    files={
        "/etc/nv_tegra_release": tegra_release("R36", "4.3", "38968081", "Wed Jan  8 01:49:37 UTC 2025"),
        "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release "
        "Build  (buildbrain@mobile-u64-6336-d8000)  Tue Jan  7 17:35:12 PST 2025\n"
        "GCC version:  collect2: error: ld returned 1 exit status\n",
        "/usr/local/cuda/version.json": toolkit("12.6.11"),
        "/proc/meminfo": meminfo(7802724, 5570560),
    },
    dpkg="ii |libnvinfer10|10.3.0.30-1+cuda12.5\nun |libnvinfer8|\nii |nvidia-jetpack|6.2+b77\n"
    "ii |python3-libnvinfer|10.3.0.30-1+cuda12.5\n",
    probes={
        "cuda": gpu("Orin", "8.7", "12.6", True, 7),
        "tensorrt": apt_tensorrt("10.3.0", "3.10"),
        "tensorrt_rtx": {},
        "opencv": {"version": "4.8.0", "cuda": False, "gstreamer": True},
    },
)

THOR_JETPACK_7_0 = RecordedMachine(
    python="3.12.3",
    architecture="aarch64",
    files={
        "/etc/nv_tegra_release": tegra_release("R38", "2.2", "42205042", "Thu Sep 25 22:47:11 UTC 2025"),
        "/usr/local/cuda/version.json": toolkit("13.0.0"),
        "/proc/meminfo": meminfo(128829056, 110100480),
    },
    dpkg="ii |libnvinfer10|10.13.3.9-1+cuda13.0\nii |python3-libnvinfer|10.13.3.9-1+cuda13.0\n",
    probes={
        "cuda": gpu("NVIDIA Thor", "11.0", "13.0", True, 122),
        "tensorrt": apt_tensorrt("10.13.3.9", "3.12"),
        "tensorrt_rtx": {},
        "opencv": {"version": "4.8.0", "cuda": False, "gstreamer": True},
    },
)

ORIN_JETPACK_7_2 = replace(
    THOR_JETPACK_7_0,
    files={
        "/etc/nv_tegra_release": tegra_release("R39", "2.0", "45755727", "Mon Jun  1 09:28:48 PM UTC 2026"),
        "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  595.78  Release\n",
        "/usr/local/cuda/version.json": toolkit("13.2.1"),
        "/proc/meminfo": meminfo(64335836, 55574528),
    },
    dpkg="ii |libnvinfer10|10.16.2.10-1+cuda13.2\nii |python3-libnvinfer|10.16.2.10-1+cuda13.2\n",
    probes={
        **THOR_JETPACK_7_0.probes,
        "cuda": gpu("Orin", "8.7", "13.2", True, 61),
        "tensorrt": apt_tensorrt("10.16.2.10", "3.12"),
    },
)

DESKTOP = RecordedMachine(
    python="3.12.3",
    architecture="x86_64",
    sees_apt=False,
    files={
        "/proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  575.57.08  Release "
        "Build  (dvs-builder@U16)  Tue May 20 2025\nGCC version:  gcc version 13.3.0\n",
        "/usr/local/cuda/version.json": toolkit("12.9.1"),
        "/proc/meminfo": meminfo(65536000, 52428800),
    },
    dpkg="",
    probes={
        "cuda": gpu("NVIDIA GeForce RTX 4090", "8.9", "12.9", False, 24),
        "tensorrt": {},
        "tensorrt_rtx": {},
        "opencv": {"version": "5.0.0", "cuda": False, "gstreamer": False},
    },
).with_pip_tensorrt("10.13.3.9", 12)

MACHINES = {
    "Orin, JetPack 6.2": ORIN_JETPACK_6_2,
    "Thor, JetPack 7.0": THOR_JETPACK_7_0,
    "Orin, JetPack 7.2": ORIN_JETPACK_7_2,
    "desktop": DESKTOP,
}

BARE = replace(
    DESKTOP.with_probe("cuda", error="libcuda.so.1: cannot open shared object file").with_probe("tensorrt"),
    files={"/proc/meminfo": DESKTOP.files["/proc/meminfo"]},
)
"""The desktop without a driver and without any TensorRT."""
RTX = BARE.with_package("tensorrt-rtx-cu13-libs", "1.7.1").with_probe(
    "tensorrt_rtx", version="1.7.1.116", file="/x/tensorrt_rtx/__init__.py", capabilities=["7.5", "8.6", "8.9", "12.0"]
)
"""The same with TensorRT-RTX, which builds without a GPU."""

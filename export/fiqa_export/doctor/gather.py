"""Gathers the facts about a machine: from files, from commands, and from libraries that are asked in other
processes."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from fiqa_runtime.backends.cuda.driver import Gpu
from fiqa_runtime.system.child import last_line, run_module

from fiqa_export.doctor.facts import APT_OPENCV, Facts, OpenCv, Place, TensorRt
from fiqa_export.plan.target import FLAVOURS

APT_PATTERNS = ("libnvinfer*", "python3-libnvinfer*", "nvidia-jetpack", *APT_OPENCV)
DPKG = ("dpkg-query", "-W", "-f", "${db:Status-Abbrev}|${Package}|${Version}\n", *APT_PATTERNS)
SECONDS = 120
"""Seconds to wait for one answer."""


class Machine(Protocol):
    """Where facts come from. Tests use a recorded machine."""

    @property
    def python(self) -> str: ...

    @property
    def sees_apt(self) -> bool: ...

    @property
    def architecture(self) -> str: ...

    def read(self, path: str) -> str | None:
        """The content of a text file; None where it cannot be read."""

    def run(self, command: tuple[str, ...]) -> str | None:
        """The standard output of a command, whatever its exit code; None where the command does not exist."""

    def probe(self, what: str) -> Mapping[str, Any]:
        """The answer of :mod:`fiqa_export.doctor.probe`, or {"error": why} where it does not answer."""


class ThisMachine:
    """The machine and the Python that run this program."""

    python = platform.python_version()
    architecture = platform.machine()

    @property
    def sees_apt(self) -> bool:
        if sys.prefix == sys.base_prefix:
            return True
        lets_in = re.search(r"include-system-site-packages\s*=\s*true", self.read(f"{sys.prefix}/pyvenv.cfg") or "")
        return lets_in is not None

    def read(self, path: str) -> str | None:
        try:
            return Path(path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None

    def run(self, command: tuple[str, ...]) -> str | None:
        try:
            return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS).stdout
        except (OSError, subprocess.TimeoutExpired):
            return None

    def probe(self, what: str) -> Mapping[str, Any]:
        try:
            result = run_module("fiqa_export.doctor.probe", what, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return {"error": f"no answer within {SECONDS} s"}
        if result.returncode:
            return {"error": f"its process ended with {result.returncode}: {last_line(result)}"}
        answer: Mapping[str, Any] = json.loads(result.stdout.strip().splitlines()[-1])
        return answer


def gather(machine: Machine) -> Facts:
    """All facts about `machine`. It takes seconds, because TensorRT is loaded."""
    installed = machine.probe("packages")
    packages = [(name, version, folder) for name, version, folder in installed.get("packages", ())]
    apt = _apt(machine.run(DPKG))
    cuda = machine.probe("cuda")
    gpu = None
    if "error" not in cuda:
        gpu = Gpu(cuda["name"], cuda["compute_capability"], cuda["driver"], cuda["integrated"])
    found = (_tensorrt(flavour, machine.probe(flavour), packages, apt) for flavour in FLAVOURS)
    return Facts(
        python=machine.python,
        sees_apt=machine.sees_apt,
        architecture=machine.architecture,
        l4t=l4t_version(machine.read("/etc/nv_tegra_release")),
        apt=apt,
        packages={name: version for name, version, _ in reversed(packages)},
        exporters=tuple(installed.get("exporters", ())),
        tensorrt=tuple(each for each in found if each is not None),
        toolkit=_toolkit(machine.read("/usr/local/cuda/version.json")),
        driver=_driver(machine.read("/proc/driver/nvidia/version")),
        gpu=gpu,
        gpu_error=cuda.get("error"),
        gpu_memory=(cuda["free"], cuda["total"]) if gpu else None,
        memory=_memory(machine.read("/proc/meminfo")),
        opencv=_opencv(machine.probe("opencv"), packages),
        devices=_devices(machine.probe("devices")),
    )


def l4t_version(text: str | None) -> str | None:
    """``# R36 (release), REVISION: 4.3, ...`` -> ``36.4.3``."""
    match = re.search(r"R(\d+) \(release\), REVISION: (\d+)\.(\d+)", text or "")
    return ".".join(match.groups()) if match else None


def _apt(text: str | None) -> dict[str, str]:
    """Versions of the packages that are installed; dpkg also lists packages that are only known."""
    rows = [line.split("|") for line in (text or "").splitlines() if line.startswith("ii")]
    return {name: version for _, name, version in rows}


def _tensorrt(
    flavour: str, answer: Mapping[str, Any], packages: list[tuple[str, str, str]], apt: Mapping[str, str]
) -> TensorRt | None:
    if not answer:
        return None
    prefix = flavour.replace("_", "-")
    ours = [entry for entry in packages if re.fullmatch(rf"{prefix}(-cu\d+.*)?", entry[0])]
    where = str(answer.get("file") or (ours[0][2] if ours else ""))
    by_pip = tuple(name for name, _, folder in ours if _place(folder) == "pip")
    labels = by_pip if _place(where) == "pip" else apt.values()
    found = [match for label in labels if (match := re.search(r"cu(?:da)?(\d+)", label))]
    return TensorRt(
        flavour=flavour,
        version=answer.get("version"),
        place=_place(where),
        cuda=int(found[0][1]) if found else None,
        packages=by_pip,
        capabilities=tuple(answer.get("capabilities", ())),
        error=answer.get("error"),
    )


def _place(path: str) -> Place:
    return "apt" if path.startswith("/usr/lib/") and "dist-packages" in path else "pip"


def _toolkit(text: str | None) -> str | None:
    try:
        return cast("str", json.loads(text or "")["cuda"]["version"])
    except (ValueError, KeyError, TypeError):
        return None


def _driver(text: str | None) -> str | None:
    match = re.search(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", (text or "").split("\n")[0] + " ")
    return match[1] if match else None


def _memory(meminfo: str | None) -> tuple[int, int] | None:
    kilobytes = dict(re.findall(r"(\w+):\s+(\d+) kB", meminfo or ""))
    if "MemAvailable" not in kilobytes:
        return None
    return int(kilobytes["MemAvailable"]) << 10, int(kilobytes["MemTotal"]) << 10


def _devices(answer: Mapping[str, Any]) -> Mapping[str, Mapping[str, str]]:
    return {} if "error" in answer else answer


def _opencv(answer: Mapping[str, Any], packages: list[tuple[str, str, str]]) -> OpenCv | None:
    if "error" in answer:
        return None
    brought = tuple(sorted({name for name, *_ in packages if name.startswith("opencv-")}))
    return OpenCv(answer["version"], answer["cuda"], answer["gstreamer"], brought)

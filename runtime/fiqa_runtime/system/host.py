"""The machine as this process may use it: processor, the cores and memory that containers grant, package versions."""

from __future__ import annotations

import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import cv2

from fiqa_runtime.errors import InputError

MOST_THREADS = 1024
FEATURES = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
)
ARM_FEATURES = ("asimd", "fphp", "asimddp", "i8mm", "bf16", "sve")
_CGROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 2.0**62
"""Control groups of version 1 write 2**63 bytes, rounded down to whole pages, where they set no limit."""


def cpu_model() -> str:
    """Name of the processor, followed by the name of the board where it has one."""
    names = []
    board = Path("/proc/device-tree/model")
    if board.is_file():
        names.append(board.read_text(errors="replace").strip("\0\n "))
    if model := re.search(r"^model name\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE):
        names.append(model[1].strip())
    if sys.platform == "darwin":
        brand = subprocess.run(
            ["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True, check=False
        )
        names.append(brand.stdout.strip())
    return ", ".join(filter(None, names)) or platform.processor() or platform.machine()


def cpu_features() -> list[str]:
    """Instruction sets that decide how fast a network runs, as far as Linux names them."""
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _cpuinfo(), re.MULTILINE)
    present = flags[1].split() if flags else []
    return [name for name in (*FEATURES, *ARM_FEATURES) if name in present]


def usable_cores(groups: list[Path]) -> float:
    """Cores that this process may use at once: its affinity, and the time that its containers grant."""
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(float(allowed), *(cpu_limit(group) for group in groups)) if groups else float(allowed)


def own_groups(memberships: str | None = None, root: Path = _CGROUPS) -> list[Path]:
    """Folders of the control groups (version 1 and 2) around this process.

    `memberships` is what /proc/self/cgroup holds; None reads it.
    """
    if memberships is None:
        file = Path("/proc/self/cgroup")
        memberships = file.read_text() if file.is_file() else ""
    groups = []
    for line in memberships.splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and not {"cpu", "memory"} & set(controllers.split(",")):
            continue
        top = root / controllers if controllers else root
        inside = Path(path.lstrip("/"))
        groups += [top / folder for folder in (inside, *inside.parents)]
    return [group for group in dict.fromkeys(groups) if group.is_dir()]


def cpu_limit(group: Path) -> float:
    """Cores that a control group grants; infinite where it sets no limit."""
    if text := _read(group / "cpu.max"):
        quota, period = text.split()
    else:
        quota, period = _read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us")
    if not quota or quota in ("max", "-1"):
        return math.inf
    return int(quota) / int(period)


def memory_limit(groups: list[Path]) -> float:
    """Bytes that the tightest of `groups` grants; infinite where none sets a limit."""
    texts = (_read(group / name) for group in groups for name in ("memory.max", "memory.limit_in_bytes"))
    limits = (float(text) for text in texts if text and text != "max")
    return min((limit for limit in limits if limit < _UNLIMITED), default=math.inf)


def thread_limit() -> int | None:
    """Threads that a container or an affinity mask leaves this process; None where it may use the whole machine.

    Not every backend sees such a limit. One that does not would start a thread for each core of the machine, and the
    kernel would hold these threads back in the middle of their work.
    """
    cores = usable_cores(own_groups())
    return max(int(cores), 1) if cores < (os.cpu_count() or 1) else None


def check_threads(threads: int | None) -> None:
    """Raise InputError for more threads than libraries start without falling over."""
    if threads is not None and threads > MOST_THREADS:
        raise InputError(f"{threads} threads are more than any machine gains by; choose at most {MOST_THREADS}")


def limit_opencv(threads: int | None) -> None:
    """Give OpenCV `threads` threads, or what a container leaves; it has one number for the whole process.

    Raises InputError as :func:`check_threads` does.
    """
    check_threads(threads)
    limit = threads or thread_limit()
    if limit:
        cv2.setNumThreads(limit)


def let_openmp_sleep() -> None:
    """Let torch's threads sleep where they wait for each other, unless OMP_WAIT_POLICY says otherwise.

    OpenMP's default keeps them busy instead. On a machine that others use too, each then waits for one that was put
    aside, and takes its core away meanwhile: thousands of short operations take thirty times as long. This has to be
    called before torch is imported, since OpenMP reads the variable when it is loaded.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def threads_per_stream(streams: int, threads: int | None = None) -> int:
    """Threads for each of `streams` that share `threads`, or what this process may use."""
    return max(int(threads or usable_cores(own_groups())) // streams, 1)


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions by name of those of `packages` that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cpuinfo() -> str:
    return _read(Path("/proc/cpuinfo"))


def _read(path: Path) -> str:
    return path.read_text().strip() if path.is_file() else ""

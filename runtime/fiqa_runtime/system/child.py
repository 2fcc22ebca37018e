"""Parts of this project that run in a Python process of their own, so that a crash there takes nobody's work along."""

from __future__ import annotations

import os
import subprocess
import sys

from fiqa_runtime.errors import DependencyError
from fiqa_runtime.system.host import memory_limit, own_groups

_START = """
import sys
sys.path[:] = filter(None, sys.path)
from importlib import import_module
from fiqa_runtime.system.child import begin
begin(int(sys.argv.pop(1)))
module = sys.argv.pop(1)
import_module(module).main()
"""
"""The working folder is taken off the path: beside photos there may be a file that Python would import."""
LEAST_MEMORY = 2 << 30
"""Bytes that a process with a limit may always take."""
_inside = False


def begin(memory: int) -> None:
    """What a process of ours does first: it leaves no core file, and takes at most `memory` bytes (0: any number)."""
    global _inside
    _inside = True
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if memory:
            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))


def inside_child() -> bool:
    """Whether this is a process that :func:`run_module` started."""
    return _inside


def memory_share() -> int:
    """Half of the memory that this process may use, in bytes, and at least :data:`LEAST_MEMORY`; 0 where that is not
    known."""
    if sys.platform != "linux":
        return 0
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(int(min(machine, memory_limit(own_groups()))) // 2, LEAST_MEMORY)


def run_module(
    module: str, *arguments: str, timeout: float | None = None, memory: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run ``main()`` of `module` in a new process, with `arguments` behind the program's name in ``sys.argv``.

    `memory`: bytes that it may take, on Linux; 0 sets no limit. Raises DependencyError where this process does not know
    a Python to start, as in a frozen program or inside a web server, and :class:`subprocess.TimeoutExpired` after
    `timeout` seconds.
    """
    if not sys.executable:
        raise _no_python()
    command = [sys.executable, "-c", _START, str(memory), module, *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
    except OSError as error:
        raise _no_python() from error


def _no_python() -> DependencyError:
    return DependencyError(
        f"sys.executable is {sys.executable!r}, which does not start Python, so nothing can run in a process of its "
        "own; set sys.executable to a Python, or name a backend, which needs no such process"
    )


def last_line(result: subprocess.CompletedProcess[str]) -> str:
    """The last line that the process wrote on stderr, for people."""
    return (result.stderr.strip().splitlines() or ["it does not say why"])[-1]

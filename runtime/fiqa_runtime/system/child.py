"""Parts of this project that run in a Python process of their own, so that a crash there takes nobody's work along."""

from __future__ import annotations

import subprocess
import sys

from fiqa_runtime.errors import DependencyError

_START = """
import sys
sys.path[:] = filter(None, sys.path)
from importlib import import_module
module = sys.argv.pop(1)
import_module(module).main()
"""
"""The working folder is taken off the path: beside photos there may be a file that Python would import."""


def run_module(module: str, *arguments: str, timeout: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``main()`` of `module` in a new process, with `arguments` behind the program's name in ``sys.argv``.

    Raises DependencyError where this process does not know a Python to start, as in a frozen program or inside a web
    server, and :class:`subprocess.TimeoutExpired` after `timeout` seconds.
    """
    if not sys.executable:
        raise _no_python()
    command = [sys.executable, "-c", _START, module, *arguments]
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

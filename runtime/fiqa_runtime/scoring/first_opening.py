"""A file of unknown origin is opened in a process of its own first: what it breaks there is nobody's work.

Runtimes crash on some damaged graphs, never return from others, or take all memory that there is.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import fiqa_runtime.errors
from fiqa_runtime.errors import ArtefactError, DependencyError, FiqaError
from fiqa_runtime.system.child import inside_child, last_line, memory_share, run_module

OPENED = "opened"
"""What such a process prints when all went well."""
SECONDS = 120.0
"""Time for opening a file and running it once, on a slow and busy machine."""


def open_elsewhere(path: Path, process: str, *arguments: str, advice: str) -> None:
    """Open `path` in another process, which is the module `process` with `arguments`.

    Raises what opening it raises there, ArtefactError, which ends with `advice`, where that ends in a crash, takes
    longer than :data:`SECONDS` or, on Linux, more than half of the memory. In such a process itself, and where none can
    be started, nothing is tried.
    """
    if inside_child():
        return
    try:
        result = run_module(process, *arguments, timeout=SECONDS, memory=memory_share())
    except subprocess.TimeoutExpired as error:
        raise ArtefactError(f"{path} does not open within {SECONDS:g} s; {advice}") from error
    except DependencyError:
        return
    if result.returncode == 0 and OPENED in result.stdout:
        return
    if result.returncode == FiqaError.exit_code:
        kind, _, message = last_line(result).partition(": ")
        raise getattr(fiqa_runtime.errors, kind, ArtefactError)(message)
    how = f"signal {-result.returncode}" if result.returncode < 0 else last_line(result)
    raise ArtefactError(f"{path} cannot be opened: it makes the runtime fail ({how}); {advice}")

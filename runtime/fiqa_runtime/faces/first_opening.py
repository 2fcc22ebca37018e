"""A detector's file of unknown origin is opened in a process of its own first: what it breaks there is nobody's work.

Runtimes crash on some damaged graphs, never return from others, or take all memory that there is.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import fiqa_runtime.errors
from fiqa_runtime.artefact.card import has_card
from fiqa_runtime.artefact.zoo import DETECTOR
from fiqa_runtime.errors import ArtefactError, DependencyError, FiqaError
from fiqa_runtime.system.child import inside_child, last_line, memory_share, run_module
from fiqa_runtime.system.files import sha256_of

OPENED = "opened"
PROCESS = "fiqa_runtime.faces.opening_process"
SECONDS = 120.0
"""Time for opening a detector of a few megabytes and one small picture, on a slow and busy machine."""


def open_first_elsewhere(path: Path, backend: str) -> None:
    """Open the detector `path` in `backend` in another process; a file with a card, or of known SHA-256, is let by.

    Raises what opening it raises there, ArtefactError where that ends in a crash, takes longer than :data:`SECONDS` or,
    on Linux, more than half of the memory. Where no process can be started nothing is tried.
    """
    if inside_child() or has_card(path) or sha256_of(path) == DETECTOR.sha256:
        return
    try:
        result = run_module(PROCESS, str(path.absolute()), backend, timeout=SECONDS, memory=memory_share())
    except subprocess.TimeoutExpired as error:
        raise ArtefactError(f"{path} does not open within {SECONDS:g} s; use {DETECTOR.file}") from error
    except DependencyError:
        return
    if result.returncode == 0 and OPENED in result.stdout:
        return
    if result.returncode == FiqaError.exit_code:
        kind, _, message = last_line(result).partition(": ")
        raise getattr(fiqa_runtime.errors, kind, ArtefactError)(message)
    how = f"signal {-result.returncode}" if result.returncode < 0 else last_line(result)
    raise ArtefactError(f"{path} cannot be opened: it makes the runtime fail ({how}); use {DETECTOR.file}")

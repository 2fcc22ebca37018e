"""One backend is tried on this machine, in a process of its own, so that a crash there takes nobody's work along."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.backends.devices import CPU
from fiqa_runtime.errors import DependencyError, FiqaError
from fiqa_runtime.system.child import last_line, run_module
from fiqa_runtime.system.schema import from_plain

SECONDS = 600.0
"""Time that a trial may take; the largest networks take a minute on two cores."""


@dataclass(frozen=True)
class Trial:
    """What became of one backend."""

    backend: str
    """Its name."""
    passed: bool
    """Whether it ran and gave the canaries' values."""
    verdict: str
    """What the self-test said, of `fast` arithmetic what became of the ranking, or why the backend did not run, in one
    line."""
    milliseconds: float | None = None
    """Fastest run of one prepared image; None where it did not run."""
    arithmetic: str = ""
    """What it computed in."""
    moved: Mapping[str, float] = field(default_factory=dict)
    """By output: how far arithmetic that is not float32 moves the canaries; empty for float32."""
    opening: float | None = None
    """Milliseconds from the import of its package to the first result; None where it did not run, and in outcomes of
    older versions."""

    def __str__(self) -> str:
        speed = "did not run" if self.milliseconds is None else f"{self.milliseconds:.2f} ms, {self.arithmetic}"
        opening = "" if self.opening is None else f", opened in {self.opening:.0f} ms"
        return f"{self.backend}: {speed}{opening}; {self.verdict}"


def try_backend(backend: str, artefact: Path, threads: int | None, precision: CpuPrecision, device: str = CPU) -> Trial:
    """Score the canaries of `artefact` with `backend` on `device` in a new process, then time it at batch 1.

    Raises DependencyError where no such process can be started.
    """
    arguments = map(json.dumps, (str(artefact), backend, threads, precision, device))
    try:
        result = run_module("fiqa_runtime.scoring.trial_process", *arguments, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return Trial(backend, False, f"did not end within {SECONDS:g} s")
    if result.returncode == 0:
        return _read(result.stdout)
    last = last_line(result)
    if result.returncode == FiqaError.exit_code:
        return Trial(backend, False, last)
    reason = f"was killed by signal {-result.returncode}" if result.returncode < 0 else f"failed ({last})"
    return Trial(backend, False, reason)


def _read(printed: str) -> Trial:
    try:
        return from_plain(Trial, json.loads(printed.splitlines()[-1]))
    except (ValueError, IndexError) as error:
        raise DependencyError(
            f"{sys.executable} is not a Python that can try backends ({error}); name one, as in --backend onnxruntime"
        ) from error

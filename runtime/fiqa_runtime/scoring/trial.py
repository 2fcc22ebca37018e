"""One backend is tried on this machine, in a process of its own, so that a crash there takes nobody's work along."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.errors import FiqaError

CHILD = "import sys; sys.path[:] = filter(None, sys.path); from fiqa_runtime.scoring.trial_process import main; main()"
"""The working folder is taken off the path: beside photos there may be a file that Python would import."""


@dataclass(frozen=True)
class Trial:
    """What became of one backend."""

    backend: str
    """Its name."""
    passed: bool
    """Whether it ran and gave the canaries' values."""
    verdict: str
    """What the self-test said, or why the backend did not run, in one line."""
    milliseconds: float | None = None
    """Fastest run of one prepared image; None where it did not run."""
    arithmetic: str = ""
    """What it computed in."""

    def __str__(self) -> str:
        speed = "did not run" if self.milliseconds is None else f"{self.milliseconds:.2f} ms, {self.arithmetic}"
        return f"{self.backend}: {speed}; {self.verdict}"


def try_backend(backend: str, artefact: Path, threads: int | None, precision: CpuPrecision) -> Trial:
    """Score the canaries of `artefact` with `backend` in a new process, then time it at batch 1."""
    arguments = [str(artefact), backend, threads, precision]
    command = [sys.executable, "-c", CHILD, *map(json.dumps, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return Trial(**json.loads(result.stdout.splitlines()[-1]))
    last = result.stderr.strip().splitlines()[-1:] or ["it does not say why"]
    if result.returncode == FiqaError.exit_code:
        return Trial(backend, False, last[0])
    reason = f"was killed by signal {-result.returncode}" if result.returncode < 0 else f"failed ({last[0]})"
    return Trial(backend, False, reason)

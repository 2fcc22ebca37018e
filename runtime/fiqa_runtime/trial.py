"""One backend put to the test on this machine, in a process of its own: a crash there takes nobody's work along.

The process is given ARTEFACT BACKEND THREADS PRECISION, JSON each, and prints a :class:`Trial`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from fiqa_runtime.backends.base import CpuPrecision
from fiqa_runtime.errors import FiqaError

CHILD = "import sys; sys.path[:] = filter(None, sys.path); from fiqa_runtime.trial import main; main()"
"""Without the working folder on the path, where anything may lie beside photos."""
SECONDS = 0.5
"""Time for which runs are repeated once the canaries have warmed the backend up; the fastest counts."""
FEWEST_RUNS = 2


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


def _here(artefact: str, backend: str, threads: int | None, precision: CpuPrecision) -> Trial:
    from fiqa_runtime.backends import open_backend
    from fiqa_runtime.card import read_card
    from fiqa_runtime.scorer import Scorer
    from fiqa_runtime.seeded import seeded_image
    from fiqa_runtime.selftest import self_test

    path = Path(artefact)
    opened = open_backend(backend, path, read_card(path), threads, precision)
    with Scorer(path, opened, cpu_precision=precision) as scorer:
        result = self_test(scorer)
        canary = scorer.card.canaries[0]
        (feed,) = scorer.batches([seeded_image(canary.index, canary.height, canary.width, canary.seed)])
        times: list[float] = []
        start = time.perf_counter()
        while len(times) < FEWEST_RUNS or time.perf_counter() - start < SECONDS:
            before = time.perf_counter()
            opened.run(feed)
            times.append(time.perf_counter() - before)
        return Trial(backend, result.passed, str(result), 1e3 * min(times), opened.info["arithmetic"])


def main() -> None:
    """Entry point of the process."""
    try:
        trial = _here(*(json.loads(argument) for argument in sys.argv[1:]))
    except FiqaError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(FiqaError.exit_code) from None
    sys.stdout.write(json.dumps(asdict(trial)) + "\n")

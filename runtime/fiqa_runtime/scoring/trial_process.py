"""The process in which :mod:`fiqa_runtime.scoring.trial` tries one backend; it is started by name, never imported.

Its arguments are ARTEFACT BACKEND THREADS PRECISION DEVICE, JSON each; it prints a
:class:`~fiqa_runtime.scoring.trial.Trial` as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.backends import open_backend
from fiqa_runtime.backends.base import Inputs
from fiqa_runtime.errors import FiqaError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.fast import judge_fast
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test
from fiqa_runtime.scoring.trial import Trial

SECONDS = 0.5
"""Time for which runs are repeated once the canaries have warmed the backend up; the fastest counts."""
FEWEST_RUNS = 2
EXACT = "float32"
"""What a backend calls its arithmetic where it is no other than asked for by `exact`."""


def main() -> None:
    """Entry point of the process."""
    try:
        trial = measure(*(json.loads(argument) for argument in sys.argv[1:]))
    except FiqaError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(FiqaError.exit_code) from None
    sys.stdout.write(json.dumps(asdict(trial)) + "\n")


def measure(artefact: str, backend: str, threads: int | None, precision: CpuPrecision, device: str) -> Trial:
    """Score the canaries of `artefact` with `backend` on `device` in this process, then time it at batch 1.

    Arithmetic that is not float32 because of `fast` is judged by what becomes of the ranking, since canaries alone show
    too little.
    """
    path = Path(artefact)
    card = read_card(path)
    before = time.perf_counter()
    opened = open_backend(backend, path, card, threads, precision, device)
    with Scorer(path, opened, cpu_precision=precision) as scorer:
        opened.run(_first_canary(scorer))
        opening = 1e3 * (time.perf_counter() - before)
        result, arithmetic = self_test(scorer), opened.info["arithmetic"]
        if precision == "exact" or arithmetic == EXACT:
            return Trial(backend, result.passed, str(result), _milliseconds(scorer), arithmetic, opening=opening)
        with Scorer(path, open_backend(backend, path, scorer.card, threads)) as exact:
            verdict = judge_fast(exact, scorer)
        return Trial(backend, verdict.passed, str(verdict), _milliseconds(scorer), arithmetic, result.largest, opening)


def _first_canary(scorer: Scorer) -> Inputs:
    canary = scorer.card.canaries[0]
    (feed,) = scorer.batches([seeded_image(canary.index, canary.height, canary.width, canary.seed)])
    return feed


def _milliseconds(scorer: Scorer) -> float:
    """The fastest run of one prepared image."""
    feed = _first_canary(scorer)
    times: list[float] = []
    start = time.perf_counter()
    while len(times) < FEWEST_RUNS or time.perf_counter() - start < SECONDS:
        before = time.perf_counter()
        scorer.backend.run(feed)
        times.append(time.perf_counter() - before)
    return 1e3 * min(times)

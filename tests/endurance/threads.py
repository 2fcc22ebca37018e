"""``make threads``: many threads share one scorer; every score is bit for bit that of one thread, and how fast it goes.

    python -m tests.endurance.threads [--threads 8] [--scores 10000] [--rounds 5]

On each backend `--threads` threads give `--scores` crops to one scorer in a mixed order. Then as many threads as there
are cores share one scorer, against as many processes with a scorer each: crops per second, by turns, medians.
The network has seeded weights, so that it needs no file from outside.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
from fiqa_export.pipeline import export
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer

CROPS = 64
"""Different crops; more scores than that take them again."""
EACH = 200
"""Crops that one worker scores in one turn of the comparison of speed."""

_scorer: Scorer | None = None


def crop(index: int) -> Image:
    """One of the crops, uint8 BGR (112, 112, 3)."""
    return seeded_image(index % CROPS, 112, 112)


def equal(scorer: Scorer, threads: int, scores: int) -> bool:
    """Whether `scores` scores from `threads` threads are those of one thread, bit for bit."""
    crops = [crop(index) for index in range(CROPS)]
    right = np.array([scorer.score([each])[0] for each in crops])
    order = np.random.default_rng(0).integers(0, CROPS, scores)
    with ThreadPoolExecutor(threads) as pool:
        found = np.array(list(pool.map(lambda index: scorer.score([crops[index]])[0], order)))
    return bool((found == right[order]).all())


def open_here(engine: Path, backend: str) -> None:
    """Open the scorer of a worker process, and run it once."""
    global _scorer
    _scorer = Scorer(engine, backend, threads=1)
    _scorer.score([crop(0)])


def score_many(scorer: Scorer | None = None) -> None:
    """Score EACH crops one by one."""
    used = scorer or _scorer
    assert used is not None
    for index in range(EACH):
        used.score([crop(index)])


def rate(pool: Executor, work: Callable[[], None], workers: int) -> float:
    """Crops per second of `workers` at once."""
    start = time.perf_counter()
    for future in [pool.submit(work) for _ in range(workers)]:
        future.result()
    return workers * EACH / (time.perf_counter() - start)


def compare(engine: Path, backend: str, rounds: int) -> tuple[float, float]:
    """Crops per second with a thread per core, and with a process per core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    spawned = ProcessPoolExecutor(cores, get_context("spawn"), open_here, (engine, backend))
    with Scorer(engine, backend, threads=1) as scorer, ThreadPoolExecutor(cores) as threads, spawned as processes:
        rate(processes, score_many, cores)
        rates = [
            (rate(threads, lambda: score_many(scorer), cores), rate(processes, score_many, cores))
            for _ in range(rounds)
        ]
    return median(each[0] for each in rates), median(each[1] for each in rates)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Scores from many threads: equal to serial ones, and how fast.")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--scores", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as name:
        engine = export("ediffiqa-t", "seeded", Path(name)).path
        for backend in ONNX_BACKENDS:
            with Scorer(engine, backend, threads=1) as scorer:
                same = equal(scorer, given.threads, given.scores)
            good &= same
            by_threads, by_processes = compare(engine, backend, given.rounds)
            sys.stdout.write(
                f"{backend}: {given.scores:,} scores from {given.threads} threads "
                f"{'bit-equal' if same else 'NOT EQUAL'}; {by_threads:.0f} crops per second with a thread per core, "
                f"{by_processes:.0f} with a process per core, ratio {by_threads / by_processes:.2f}\n"
            )
            sys.stdout.flush()
    raise SystemExit(0 if good else 3)


if __name__ == "__main__":
    main()

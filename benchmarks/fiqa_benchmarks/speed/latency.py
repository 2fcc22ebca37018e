"""Measures latency fairly on a machine that is never quiet: every contender takes a turn in every round.

Clock frequency, temperature and other processes change within seconds. Contenders that are measured one after the other
meet different conditions. In interleaved rounds (A B C A B C ...) they share the conditions, so the ratio within a
round is fair.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from fiqa_runtime.system.progress import Report, silent

MOST_ROUNDS = 30
FEWEST_ROUNDS = 3
TOTAL_SECONDS = 60.0
"""Where no number of rounds is asked for, no new round starts after this time."""
TURN_SECONDS = 0.2
MOST_PASSES = 11
"""A contender's turn in a round consists of passes over its steps for about TURN_SECONDS: at least two, at most
MOST_PASSES."""
SLOW_SECONDS = 1.0
"""Where a pass takes this long, a turn is a single pass: what it loses by waking up does not matter then."""
WARM_UP_SECONDS = 0.5
MOST_WARM_UPS = 20
PAUSE_SECONDS = 0.1
"""Pause before each turn, after which no thread of the contender before, as of ONNX Runtime, still spins."""

Steps = Mapping[str, Callable[[], object]]
"""The steps of one contender that are timed, by name; every call of a step does the same work."""


@dataclass(frozen=True)
class Timing:
    """Latencies of one step of one contender."""

    rounds: tuple[tuple[float, ...], ...]
    """Seconds per call, by round."""

    @property
    def samples(self) -> int:
        """Number of calls that were timed."""
        return sum(map(len, self.rounds))

    @property
    def medians(self) -> list[float]:
        """Median seconds of each round."""
        return [float(np.median(calls)) for calls in self.rounds]

    def percentile(self, q: float) -> float:
        """Seconds below which `q` per cent of all calls stay. With few samples a high percentile is near the slowest
        call."""
        return float(np.percentile(np.concatenate(self.rounds), q))

    def as_json(self, batch: int) -> dict[str, Any]:
        """Milliseconds per call and images per second, for calls of `batch` images."""
        median = self.percentile(50)
        return {
            "median_ms": 1e3 * median,
            "p95_ms": 1e3 * self.percentile(95),
            "p99_ms": 1e3 * self.percentile(99),
            "images_per_second": batch / median,
            "samples": self.samples,
        }


@dataclass(frozen=True)
class Ratio:
    """Time of one step divided by the time of another, within each round."""

    median: float
    low: float
    """First quartile over the rounds."""
    high: float
    """Third quartile over the rounds."""


def ratio(timing: Timing, base: Timing) -> Ratio:
    """How many times as long as `base` a call of `timing` takes; both come from the same :func:`measure`."""
    rounds = np.divide(timing.medians, base.medians)
    low, median, high = (float(v) for v in np.percentile(rounds, (25, 50, 75)))
    return Ratio(median, low, high)


def measure(
    contenders: Sequence[Steps],
    rounds: int | None = None,
    report: Report = silent,
    what: str = "rounds",
    clock: Callable[[], float] = time.perf_counter,
    pause: Callable[[float], None] = time.sleep,
) -> list[dict[str, Timing]]:
    """Warm up, then time every step of every contender in interleaved rounds.

    Timings come in the order of `contenders`. With `rounds` None, FEWEST_ROUNDS to MOST_ROUNDS are run: as many as
    begin within TOTAL_SECONDS. `what` is the text of the progress bar.
    """
    passes = [_passes_per_turn(steps, clock) for steps in contenders]
    taken: list[dict[str, list[tuple[float, ...]]]] = [{name: [] for name in steps} for steps in contenders]
    limit = rounds or MOST_ROUNDS
    start = clock()
    for done in range(limit):
        report(what, done, limit)
        if rounds is None and done >= FEWEST_ROUNDS and clock() - start > TOTAL_SECONDS:
            break
        for steps, count, times in zip(contenders, passes, taken, strict=True):
            pause(PAUSE_SECONDS)
            for name, seconds in _turn(steps, count, clock).items():
                times[name].append(seconds)
    report(what, limit, limit)
    return [{name: Timing(tuple(turns)) for name, turns in times.items()} for times in taken]


def _passes_per_turn(steps: Steps, clock: Callable[[], float]) -> int:
    """Warm `steps` up and see how many passes over them fill a turn."""
    fastest = float("inf")
    start = now = clock()
    for _ in range(MOST_WARM_UPS):
        before = now
        for step in steps.values():
            step()
        now = clock()
        fastest = min(fastest, now - before)
        if now - start >= WARM_UP_SECONDS:
            break
    if fastest >= SLOW_SECONDS:
        return 1
    return int(np.clip(TURN_SECONDS / max(fastest, 1e-9), 2, MOST_PASSES))


def _turn(steps: Steps, passes: int, clock: Callable[[], float]) -> dict[str, tuple[float, ...]]:
    """Seconds of each call by step. The steps take turns, so that they share the conditions too.

    The first of several passes is not counted, because it meets cold caches and sleeping threads.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(passes):
        for name, step in steps.items():
            start = clock()
            step()
            times[name].append(clock() - start)
    return {name: tuple(seconds[1:] if passes > 1 else seconds) for name, seconds in times.items()}

"""The ways to score photos, and which of them is the fastest here."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from fiqa_runtime.system.parallel import GAIN

Way = tuple[int, bool]
"""What runs at once: streams, overlap."""
ROUNDS = 3
"""How often each way is measured; the median counts."""


@dataclass(frozen=True)
class Setup:
    """One way to score photos."""

    detector: str
    """The backend that finds the faces."""
    scorer: str
    """The backend that scores them."""
    streams: int = 1
    """Photos at once, each with its share of the threads."""
    overlap: bool = False
    """Whether the faces of the next photo are found while those of this one are scored."""

    @property
    def way(self) -> Way:
        """What runs at once."""
        return self.streams, self.overlap

    @property
    def plain(self) -> Setup:
        """The same two backends with one photo after the other."""
        return replace(self, streams=1, overlap=False)

    def __str__(self) -> str:
        at_once = f"{self.streams} photos at once" if self.streams > 1 else "one photo at a time"
        return f"faces by {self.detector}, scores by {self.scorer}, {'overlapping' if self.overlap else at_once}"


@dataclass(frozen=True)
class Timing:
    """How fast one way was."""

    setup: Setup
    milliseconds: float
    """For a photo, from its file to its scores: the median of some rounds."""

    def __str__(self) -> str:
        return f"{self.milliseconds:.2f} ms a photo: {self.setup}"


@dataclass(frozen=True)
class Decision:
    """A way, and why this one."""

    setup: Setup
    why: str
    """One line."""
    timings: tuple[Timing, ...] = ()
    """What was measured, the fastest first."""
    note: str = ""
    """Where the outcome comes from or is kept."""
    left_out: bool = False
    """Whether the user asked for another way, which is slower."""

    def lines(self) -> list[str]:
        """For people."""
        note = [f"  ({self.note})"] if self.note else []
        return [f"photos: {self.setup}: {self.why}", *(f"  {timing}" for timing in self.timings), *note]

    def as_json(self) -> dict[str, Any]:
        """For documents."""
        return asdict(self)


Timer = Callable[[Sequence[Setup]], Sequence[Timing]]
"""Measures some setups beside each other."""


def measure_setups(pairs: Sequence[Setup], ways: Iterable[Way], timer: Timer) -> tuple[Timing, ...]:
    """Measure `pairs` of backends, then the fastest pair in each of the `ways` (streams, overlap); fastest first."""
    first = sorted(timer(pairs), key=_milliseconds)
    others = [replace(first[0].setup, streams=streams, overlap=overlap) for streams, overlap in ways]
    if not others:
        return tuple(first)
    return tuple(sorted([*first[1:], *timer([first[0].setup, *others])], key=_milliseconds))


def fastest(timings: Sequence[Timing], asked: Way | None, note: str) -> Decision:
    """The fastest of `timings`, or the same backends with one photo after the other where that is as fast.

    A way that the user `asked` for, which has to be among them, is left out only where one photo after the other is
    faster.
    """
    in_order = tuple(sorted(timings, key=_milliseconds))
    ms = {timing.setup: timing.milliseconds for timing in in_order}
    best = next(setup for setup in ms if asked in (None, setup.way))
    plain = best.plain if best.plain in ms else best
    if asked is None:
        chosen = best if ms[best] <= GAIN * ms[plain] else plain
        return Decision(chosen, f"the fastest of {len(ms)} ways measured here", in_order, note)
    if ms[plain] >= GAIN * ms[best]:
        return Decision(best, "as asked", in_order, note)
    option = "--overlap" if best.overlap else f"--streams {best.streams}"
    lost = f"{option} is left out: {ms[best]:.2f} ms a photo with it, {ms[plain]:.2f} without"
    return Decision(plain, lost, in_order, note, left_out=True)


def time_interleaved(
    runs: Mapping[Setup, Callable[[], object]], photos: int, clock: Callable[[], float] = time.perf_counter
) -> list[Timing]:
    """Run each once to warm it up, then all in turn, :data:`ROUNDS` times; each run scores `photos` photos."""
    seconds: dict[Setup, list[float]] = {setup: [] for setup in runs}
    for run in runs.values():
        run()
    for _ in range(ROUNDS):
        for setup, run in runs.items():
            before = clock()
            run()
            seconds[setup].append(clock() - before)
    return [Timing(setup, 1e3 * statistics.median(times) / photos) for setup, times in seconds.items()]


def _milliseconds(timing: Timing) -> float:
    return timing.milliseconds

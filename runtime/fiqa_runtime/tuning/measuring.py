"""Measures the ways to score photos on some of the photos, where that pays, and remembers what came out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from fiqa_runtime.backends import DISTRIBUTIONS, available
from fiqa_runtime.backends.devices import CPU
from fiqa_runtime.errors import FiqaError
from fiqa_runtime.scoring.choice import Choice
from fiqa_runtime.system.outcomes import Outcome, this_machine
from fiqa_runtime.system.schema import from_plain
from fiqa_runtime.system.spread import evenly
from fiqa_runtime.tuning.setup import (
    ROUNDS,
    Decision,
    Setup,
    Timing,
    Way,
    fastest,
    measure_setups,
    time_interleaved,
)

FOLDER = "photos"
"""Folder in the user cache that holds the outcomes."""
DETECTORS = ("onnxruntime", "opencv")
"""Backends of the detector that are tried; OpenVINO prepares itself anew for every size of a photo."""
MOST_PHOTOS = 12
"""Photos that each way is measured on, but for machines with more than six cores."""
FEWEST_PHOTOS = 4
SHARE = 0.1
"""Ways are measured where that takes at most this share of the run."""
OPENING = 2.0
"""Seconds that opening all of them takes beside, about."""
CLOSE = 2.0
"""A scorer's backend that takes more than this many times the fastest one's time is not tried with photos."""

Score = Callable[[Sequence[Path]], object]
"""Scores photos in one way, from their files on."""
Open = Callable[[Setup, ExitStack], Score]
"""Opens what one way needs; the stack closes it."""


@dataclass(frozen=True)
class Candidates:
    """What there is to choose from."""

    pairs: tuple[Setup, ...]
    """Pairs of backends with one photo after the other; the first is what runs where nothing is measured."""
    ways: tuple[Way, ...]
    """What may run at once instead."""
    asked: Way | None
    """The way that the user asks for."""


def candidates(
    plain: Setup, choice: Choice | None, most_at_once: int, streams: int | None, overlap: bool, device: str = CPU
) -> Candidates:
    """For the pair `plain`, and where `choice` tried several backends on `device`, those that were right and nearly as
    fast.

    `streams` and `overlap` are the user's; None and False leave that open, and then up to `most_at_once` are tried.
    """
    asked = (streams or 1, overlap) if streams is not None or overlap else None
    open_ways: tuple[Way, ...] = ((1, True), (most_at_once, False)) if most_at_once > 1 else ((1, True),)
    ways = open_ways if asked is None else (asked,) if asked != (1, False) else ()
    passed = [trial for trial in choice.trials if trial.passed and trial.milliseconds] if choice else []
    times = {trial.backend: trial.milliseconds or 0.0 for trial in passed}
    scorers = [name for name, ms in times.items() if ms <= CLOSE * min(times.values())] if len(times) > 1 else []
    detectors = [name for name in DETECTORS if name in available(device)]
    pairs = [plain, *(Setup(found, scored) for scored in scorers for found in detectors)]
    return Candidates(tuple(dict.fromkeys(pairs)), ways, asked)


def decide_setup(
    files: Sequence[Path], among: Candidates, question: Mapping[str, Any], open_one: Open, always: bool = False
) -> Decision:
    """The way to score the photos `files`: measured where that takes a small share of the run, or `always`.

    `question` holds whatever else decides how fast they are. Raises what `open_one` raises for the first pair.
    """
    plain, asked = among.pairs[0], among.asked
    first = plain if asked is None else Setup(plain.detector, plain.scorer, *asked)
    if len(among.pairs) == 1 and not among.ways:
        return Decision(first, "as asked" if asked else "the only way here")
    outcome = Outcome(FOLDER, {**question, "among": asdict(among), **this_machine(DISTRIBUTIONS)})
    if timings := _timings(outcome.recall(), asked):
        return fastest(timings, asked, f"remembered in {outcome.file}")
    photos = _photos_to_measure(files, among, open_one, always)
    if not photos:
        return Decision(first, "as asked" if asked else "measuring others would take long beside so few photos")
    sample = [files[place] for place in evenly(photos, len(files))]
    timings = measure_setups(among.pairs, among.ways, lambda setups: _time(setups, sample, open_one, asked))
    return fastest(timings, asked, outcome.remember([asdict(timing) for timing in timings]))


def _photos_to_measure(files: Sequence[Path], among: Candidates, open_one: Open, always: bool) -> int:
    """How many photos to measure on; none where that takes too much of the run."""
    fewest = max(FEWEST_PHOTOS, 2 * max((streams for streams, _ in among.ways), default=1))
    most = max(MOST_PHOTOS, fewest)
    if always:
        return min(most, len(files))
    runs = (len(among.pairs) + len(among.ways) + 1) * (ROUNDS + 1)
    if SHARE * len(files) <= fewest * runs:
        return 0
    middle = files[len(files) // 2]
    with ExitStack() as stack:
        score = open_one(among.pairs[0], stack)
        score([middle])
        before = time.perf_counter()
        score([middle])
        seconds = time.perf_counter() - before
    if seconds <= 0:
        return 0
    photos = int((SHARE * seconds * len(files) - OPENING) / (seconds * runs))
    return 0 if photos < fewest else min(photos, most)


def _time(setups: Sequence[Setup], sample: Sequence[Path], open_one: Open, asked: Way | None) -> list[Timing]:
    """Those of `setups` that can be opened, measured beside each other; the first one and an `asked` way have to be."""
    runs: dict[Setup, Callable[[], object]] = {}
    with ExitStack() as stack:
        for setup in setups:
            try:
                score = open_one(setup, stack)
            except FiqaError:
                if not runs or (asked and setup != setup.plain):
                    raise
                continue
            runs[setup] = partial(score, sample)
        return time_interleaved(runs, len(sample))


def _timings(answer: Any, asked: Way | None) -> tuple[Timing, ...]:
    """What was remembered; empty where that is something else, or says nothing of the way that is `asked` for."""
    try:
        timings = tuple(from_plain(Timing, timing) for timing in answer)
    except (ValueError, TypeError):
        return ()
    return timings if any(asked in (None, timing.setup.way) for timing in timings) else ()

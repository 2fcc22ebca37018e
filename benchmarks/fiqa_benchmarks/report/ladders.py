"""Makes the report's degradation ladders, which show how every contender's scores fall as faces get worse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from fiqa_runtime.artefact.spec import output_of
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.ladder import KINDS, PRISTINE, STRENGTHS, ladders
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.scoring.agreement import Scores
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.progress import Report, silent
from fiqa_runtime.system.spread import evenly
from numpy.typing import NDArray

from fiqa_benchmarks.contenders.peers import PEERS, open_contender, prepare
from fiqa_benchmarks.report.sections import comparable
from fiqa_benchmarks.speed.bench import END_TO_END, Result

PICTURES = 1 + len(KINDS) * STRENGTHS
"""Number of pictures of each face."""
MOST_FACES = 8
SECONDS = 60.0
"""Seconds that all ladders together may take, roughly; at least one face is used in any case."""


def score_ladders(
    results: Sequence[Result], crops: Sequence[Image], threads: int | None = None, report: Report = silent
) -> dict[str, Any]:
    """The `ladders` section: `faces`, and in `engines` the mean scores of every engine with a score. Peers, which run
    the first engine elsewhere, are left out.

    At most MOST_FACES of the `crops` (uint8 BGR), evenly chosen, are degraded: as many as SECONDS allow at the measured
    speed. Raises what opening and running a contender raises.
    """
    engines = [result for result in comparable(results) if result.contender.name not in PEERS]
    taking_part = [result for result in engines if result.scores is not None]
    if not taking_part:
        return {}
    per_face = PICTURES * sum(map(_seconds_per_image, taking_part))
    count = min(len(crops), MOST_FACES, max(1, int(SECONDS / per_face)))
    faces = [crops[index] for index in evenly(count, len(crops))]
    rungs = [(rung.kind, rung.strength) for rung, _ in ladders(faces)]
    scores: dict[str, Scores] = {}
    with TemporaryDirectory(prefix="fiqa-bench-") as folder:
        for done, result in enumerate(taking_part):
            report("degradation ladders", done, len(taking_part))
            with open_contender(prepare(result.contender, Path(folder), threads), threads) as scorer:
                scores[result.contender.name] = np.concatenate(list(_scores(scorer, faces)))
        report("degradation ladders", len(taking_part), len(taking_part))
    return {"faces": len(faces), "engines": mean_scores(rungs, scores)}


def mean_scores(rungs: Sequence[tuple[str, int]], scores: dict[str, Scores]) -> dict[str, dict[str, list[float]]]:
    """Mean scores by engine, kind and strength of pictures whose (kind, strength) are `rungs`, in their order.

    Strength 0 of every kind is the untouched picture, kind `pristine`. Raises InputError where scores and rungs differ
    in number, or where a strength is missing.
    """
    if any(len(values) != len(rungs) for values in scores.values()):
        raise InputError(f"a parity set of {len(rungs)} pictures needs as many scores of each engine")
    places: dict[str, dict[int, list[int]]] = {}
    for index, (kind, strength) in enumerate(rungs):
        places.setdefault(kind, {}).setdefault(strength, []).append(index)
    untouched = places.pop(PRISTINE, {})
    for kind, by_strength in places.items():
        by_strength.update(untouched)
        if sorted(by_strength) != list(range(len(by_strength))):
            raise InputError(f"the ladder of {kind} lacks a strength; score the whole parity set, pristine included")
    return {
        engine: {
            kind: [float(np.mean(np.asarray(values)[by_strength[step]])) for step in sorted(by_strength)]
            for kind, by_strength in places.items()
        }
        for engine, values in scores.items()
    }


def _scores(scorer: Scorer, faces: Sequence[Image]) -> Iterator[NDArray[np.float32]]:
    """Scores of all rungs; the pictures are made as they are needed."""
    name = output_of("score", scorer.card.outputs)
    assert name is not None
    pictures = (picture for _, picture in ladders(faces))
    while chunk := list(islice(pictures, scorer.card.max_batch)):
        yield scorer.outputs(chunk)[name].reshape(len(chunk))


def _seconds_per_image(result: Result) -> float:
    size, batch = next(iter(result.batches.items()))
    return batch.timings[END_TO_END].percentile(50) / size

"""Runs one benchmark: opens the contenders, compares them with the first, and times them in turn."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import output_of
from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.errors import ArtefactError, FiqaError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.scoring.agreement import Agreement, agree
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.files import sha256_of
from fiqa_runtime.system.progress import Report, silent

from fiqa_benchmarks.contenders.crops import fill
from fiqa_benchmarks.contenders.peers import Contender, open_contender, prepare
from fiqa_benchmarks.speed.latency import Ratio, Steps, Timing, measure, ratio
from fiqa_benchmarks.speed.memory import Footprint, footprint

NETWORK = "network"
"""Name of a step: the bare backend call on a prepared input tensor."""
END_TO_END = "end_to_end"
"""Name of a step: :meth:`Scorer.score` from uint8 crops. For networks without a score, and for those that score a
picture by several crops, it is :meth:`Scorer.outputs`; each crop counts as an image then."""


@dataclass(frozen=True)
class Difference:
    """How far a contender's outputs are from the first one's on the same images."""

    max_abs: dict[str, float]
    """Largest difference, by output."""
    score: Agreement | None
    """Agreement of the scores; None for networks without a score."""

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {"max_abs": self.max_abs, "score": self.score and self.score.as_json()}


@dataclass(frozen=True)
class BatchResult:
    """One contender at one batch size."""

    timings: dict[str, Timing]
    """Times by step."""
    ratios: dict[str, Ratio]
    """Time divided by that of the first contender, by step."""
    overhead: Ratio
    """Time from crops to scores, divided by that of the bare backend call."""
    difference: Difference | None
    """Difference from the first contender; None for the first itself and for another network."""


@dataclass(frozen=True)
class Loaded:
    """What is known of a contender that runs, whatever the batch size."""

    card: Card
    backend: dict[str, str]
    """Name, version, device and arithmetic."""
    footprint: Footprint
    """Load time and memory in a process of its own."""
    files: dict[str, str]
    """SHA-256 of the artefact's files by name; empty for torch."""
    file_bytes: int | None
    """Size of these files together; None for torch."""


@dataclass
class Result:
    """One contender."""

    contender: Contender
    loaded: Loaded | None = None
    batches: dict[int, BatchResult] = field(default_factory=dict)
    scores: dict[str, float] | None = None
    """Scores by :func:`image_id`, at the first batch size; None for networks without a score."""
    outputs: Arrays | None = None
    """All outputs for the crops, by name, at the first batch size; None where the contender did not run."""
    error: FiqaError | None = None
    """Why it did not run."""


def bench(
    contenders: Sequence[Contender],
    crops: list[Image],
    batches: Sequence[int] = (1,),
    threads: int | None = None,
    rounds: int | None = None,
    report: Report = silent,
) -> list[Result]:
    """Measure `contenders` on `crops` (uint8 BGR) at every batch size; results in the order of `contenders`.

    Raises the error of the first contender, which must run. The error of another contender becomes its result.
    """
    results = [Result(contender) for contender in contenders]
    running: list[tuple[Result, Scorer, dict[int, Arrays]]] = []
    with tempfile.TemporaryDirectory(prefix="fiqa-bench-") as folder, ExitStack() as stack:
        for done, result in enumerate(results):
            report("load and compare", done, len(results))
            try:
                scorer = stack.enter_context(_load(result, Path(folder), batches, threads))
                outputs = {batch: _outputs(scorer, crops, batch) for batch in batches}
                result.outputs = outputs[batches[0]]
                result.scores = _scores(crops, result.outputs, result.loaded)
                running.append((result, scorer, outputs))
            except FiqaError as error:
                if result is results[0]:
                    raise
                result.error = error
        report("load and compare", len(results), len(results))
        _, first, expected = running[0]
        for batch in batches:
            steps = [_steps(scorer, fill(crops, batch)) for _, scorer, _ in running]
            timings = measure(steps, rounds, report, f"rounds with batch {batch}")
            for (result, scorer, outputs), timing in zip(running, timings, strict=True):
                comparable = scorer is not first and scorer.card.model == first.card.model
                result.batches[batch] = BatchResult(
                    timing,
                    {step: ratio(timing[step], timings[0][step]) for step in timing},
                    ratio(timing[END_TO_END], timing[NETWORK]),
                    _difference(expected[batch], outputs[batch], first.card) if comparable else None,
                )
    return results


def _load(result: Result, folder: Path, batches: Sequence[int], threads: int | None) -> Scorer:
    """Measure the footprint in another process, then load the contender here."""
    contender = prepare(result.contender, folder, threads)
    taken = footprint(contender, batches, threads)
    scorer = open_contender(contender, threads)
    files, size = {}, None
    if scorer.backend.name != "torch":
        files = artefact_files(scorer.path, scorer.card)
        size = sum((scorer.path.resolve().parent / name).stat().st_size for name in files)
    result.loaded = Loaded(scorer.card, {"name": scorer.backend.name, **scorer.backend.info}, taken, files, size)
    return scorer


def artefact_files(path: Path, card: Card) -> dict[str, str]:
    """SHA-256 by name of the artefact at `path`, which may be a link, and of every further file that its card names."""
    return {**card.files, path.resolve().name: sha256_of(path)}


def image_id(image: Image) -> str:
    """The name of a crop's pixels (uint8 BGR) in documents; equal pixels have one name wherever they came from."""
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()[:16]


def _scores(crops: list[Image], outputs: Arrays, loaded: Loaded | None) -> dict[str, float] | None:
    name = output_of("score", loaded.card.outputs) if loaded else None
    if name is None:
        return None
    return dict(zip(map(image_id, crops), outputs[name].reshape(len(crops)).tolist(), strict=True))


def _steps(scorer: Scorer, crops: list[Image]) -> Steps:
    """The steps that are timed."""
    feeds = list(scorer.batches(crops))
    one_by_one = scorer.has_score and scorer.card.input.sampling is None
    whole = scorer.score if one_by_one else scorer.outputs
    return {NETWORK: lambda: [scorer.backend.run(feed) for feed in feeds], END_TO_END: lambda: whole(crops)}


def _outputs(scorer: Scorer, crops: list[Image], batch: int) -> Arrays:
    """Outputs for all `crops` in batches of `batch`; ArtefactError where one is not finite."""
    parts = [scorer.outputs(crops[start : start + batch]) for start in range(0, len(crops), batch)]
    outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for name, array in outputs.items():
        if not np.isfinite(array).all():
            raise ArtefactError(f"{scorer!r} gave a {name} that is not a number; run fiqa-score --self-test on it")
    return outputs


def _difference(expected: Arrays, outputs: Arrays, card: Card) -> Difference:
    pairs = {
        name: (array.reshape(len(array), -1), outputs[name].reshape(len(array), -1)) for name, array in expected.items()
    }
    max_abs = {name: float(np.abs(a - b).max()) for name, (a, b) in pairs.items()}
    name = output_of("score", card.outputs)
    return Difference(max_abs, None if name is None else agree(*(array[:, 0] for array in pairs[name])))


def bench_json(results: Sequence[Result]) -> dict[str, Any]:
    """The parts `contenders` and `ratios` of the JSON document. Where a ratio is above 1, the first contender is
    faster."""
    return {
        "contenders": [_contender_json(result) for result in results],
        "ratios": {
            result.contender.name: {
                str(batch): {step: asdict(value) for step, value in outcome.ratios.items()}
                for batch, outcome in result.batches.items()
            }
            for result in results[1:]
        },
    }


def _contender_json(result: Result) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": result.contender.name, "engine": result.contender.artefact}
    loaded = result.loaded
    if result.error or loaded is None:
        return {**entry, "error": str(result.error)}
    return {
        **entry,
        "model": loaded.card.model,
        "precision": loaded.card.precision,
        "weights": loaded.card.weights.description,
        "backend": loaded.backend,
        "load_ms": 1e3 * loaded.footprint.load_seconds,
        "files": loaded.files,
        "file_bytes": loaded.file_bytes,
        "scores": result.scores,
        "batches": {
            str(batch): {
                **{step: timing.as_json(batch) for step, timing in outcome.timings.items()},
                "rounds": len(outcome.timings[NETWORK].rounds),
                "overhead": asdict(outcome.overhead),
                "peak_resident_bytes": loaded.footprint.peak_bytes[batch],
                "difference": outcome.difference and outcome.difference.as_json(),
            }
            for batch, outcome in result.batches.items()
        },
    }

"""One benchmark: contenders opened, checked against the first, timed in turn."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from fiqa_runtime.agreement import Agreement, agree
from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.card import Card
from fiqa_runtime.console import Report, silent
from fiqa_runtime.errors import ArtefactError, FiqaError
from fiqa_runtime.preprocess import Image
from fiqa_runtime.scorer import Scorer

from fiqa_benchmarks.crops import fill
from fiqa_benchmarks.latency import Ratio, Steps, Timing, measure, ratio
from fiqa_benchmarks.memory import peak_memory
from fiqa_benchmarks.peers import Contender, open_contender, prepare

NETWORK = "network"
"""Step: the bare backend call on a prepared input tensor."""
END_TO_END = "end_to_end"
"""Step: :meth:`Scorer.score` (networks without a score: :meth:`Scorer.outputs`) from uint8 crops."""


@dataclass(frozen=True)
class Difference:
    """How far a contender's outputs are from the first one's on the same images."""

    max_abs: dict[str, float]
    """By output: largest |d|."""
    score: Agreement | None
    """Of the scores; None for networks without one."""

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {"max_abs": self.max_abs, "score": self.score and self.score.as_json()}


@dataclass(frozen=True)
class BatchResult:
    """One contender at one batch size."""

    timings: dict[str, Timing]
    """By step."""
    ratios: dict[str, Ratio]
    """By step: time divided by the first contender's."""
    overhead: Ratio
    """From crops to scores, divided by the bare backend call."""
    peak_bytes: int
    """Peak resident memory of a process that does nothing else."""
    difference: Difference | None
    """From the first contender; None for the first itself and for another network."""


@dataclass
class Result:
    """One contender."""

    contender: Contender
    card: Card | None = None
    backend: dict[str, str] = field(default_factory=dict)
    """Name, version, device and arithmetic."""
    load_seconds: float = 0.0
    file_bytes: int | None = None
    """Files of the artefact together; None for torch."""
    batches: dict[int, BatchResult] = field(default_factory=dict)
    error: FiqaError | None = None
    """Why it did not run."""


@dataclass(frozen=True)
class _Entrant:
    """A contender that runs."""

    result: Result
    scorer: Scorer
    peaks: dict[int, int]
    differences: dict[int, Difference | None]

    def steps(self, crops: list[Image]) -> Steps:
        """What is timed."""
        feeds = list(self.scorer.batches(crops))
        scores = any(output.name == "score" for output in self.scorer.card.outputs)
        whole = self.scorer.score if scores else self.scorer.outputs
        return {
            NETWORK: lambda: [self.scorer.backend.run(feed) for feed in feeds],
            END_TO_END: lambda: whole(crops),
        }


def bench(
    contenders: Sequence[Contender],
    crops: list[Image],
    batches: Sequence[int] = (1,),
    threads: int | None = None,
    rounds: int | None = None,
    report: Report = silent,
) -> list[Result]:
    """Measure `contenders` on `crops` (uint8 BGR) at every batch size; results in the order of `contenders`.

    The first contender must run, its error is raised; the error of another becomes its result.
    """
    results = [Result(contender) for contender in contenders]
    entrants: list[_Entrant] = []
    expected: dict[int, Arrays] = {}
    with tempfile.TemporaryDirectory(prefix="fiqa-bench-") as folder, ExitStack() as stack:
        for done, result in enumerate(results):
            report("load and compare", done, len(results))
            try:
                entrant = _enter(result, Path(folder), crops, batches, threads, stack, expected)
            except FiqaError as error:
                if result is results[0]:
                    raise
                result.error = error
            else:
                entrants.append(entrant)
        report("load and compare", len(results), len(results))
        for batch in batches:
            steps = [entrant.steps(fill(crops, batch)) for entrant in entrants]
            timings = measure(steps, rounds, report, f"rounds with batch {batch}")
            for entrant, timing in zip(entrants, timings, strict=True):
                entrant.result.batches[batch] = BatchResult(
                    timing,
                    {step: ratio(timing[step], timings[0][step]) for step in timing},
                    ratio(timing[END_TO_END], timing[NETWORK]),
                    entrant.peaks[batch],
                    entrant.differences[batch],
                )
    return results


def _enter(
    result: Result,
    folder: Path,
    crops: list[Image],
    batches: Sequence[int],
    threads: int | None,
    stack: ExitStack,
    expected: dict[int, Arrays],
) -> _Entrant:
    """Measure memory in another process, then load here and compare; the first contender fills `expected`."""
    contender = prepare(result.contender, folder)
    peaks = peak_memory(contender, batches, threads)
    start = time.perf_counter()
    scorer = stack.enter_context(open_contender(contender, threads))
    result.load_seconds = time.perf_counter() - start
    result.card = scorer.card
    result.backend = {"name": scorer.backend.name, **scorer.backend.info}
    if scorer.backend.name != "torch":
        result.file_bytes = sum((scorer.path.parent / name).stat().st_size for name in scorer.card.files)
    differences: dict[int, Difference | None] = {}
    for batch in batches:
        outputs = _outputs(scorer, crops, batch)
        reference = expected.setdefault(batch, outputs)
        comparable = reference is not outputs and outputs.keys() == reference.keys()
        differences[batch] = _difference(reference, outputs) if comparable else None
    return _Entrant(result, scorer, peaks, differences)


def _outputs(scorer: Scorer, crops: list[Image], batch: int) -> Arrays:
    parts = [scorer.outputs(crops[start : start + batch]) for start in range(0, len(crops), batch)]
    outputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    for name, array in outputs.items():
        if not np.isfinite(array).all():
            raise ArtefactError(f"{scorer!r} gave a {name} that is no number; run fiqa-score --self-test on it")
    return outputs


def _difference(reference: Arrays, outputs: Arrays) -> Difference:
    max_abs = {name: float(np.abs(outputs[name] - array).max()) for name, array in reference.items()}
    scores = (a["score"].reshape(-1) for a in (reference, outputs)) if "score" in reference else None
    return Difference(max_abs, agree(*scores) if scores else None)


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """`contenders` and `ratios` of the JSON document; a ratio above 1: the first contender is faster."""
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
    if result.error or result.card is None:
        return {**entry, "error": str(result.error)}
    return {
        **entry,
        "model": result.card.model,
        "precision": result.card.precision,
        "weights": result.card.weights.get("description"),
        "backend": result.backend,
        "load_ms": 1e3 * result.load_seconds,
        "file_bytes": result.file_bytes,
        "batches": {
            str(batch): {
                **{step: timing.as_json(batch) for step, timing in outcome.timings.items()},
                "rounds": len(outcome.timings[NETWORK].rounds),
                "overhead": asdict(outcome.overhead),
                "peak_resident_bytes": outcome.peak_bytes,
                "difference": outcome.difference and outcome.difference.as_json(),
            }
            for batch, outcome in result.batches.items()
        },
    }

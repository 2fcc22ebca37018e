"""Measures what one thing gains: times the same work without and with it, in the same interleaved rounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import ModelSpec
from fiqa_runtime.backends import open_backend
from fiqa_runtime.backends.base import Backend, Inputs
from fiqa_runtime.errors import FiqaError
from fiqa_runtime.system.host import thread_limit
from fiqa_runtime.system.progress import Report

from fiqa_benchmarks.contenders.plain_export import PlainSession
from fiqa_benchmarks.speed.latency import Ratio, measure, ratio

STEP = "run"


@dataclass(frozen=True, eq=False)
class TimedBackend:
    """A backend that is timed: how it is opened, and what it is fed."""

    open: Callable[[], Backend]
    feed: Inputs


@dataclass(frozen=True)
class Speedup:
    """What one measure gains on one network."""

    measure: str
    network: str
    ratios: Mapping[str, Ratio | str]
    """Time without the measure divided by time with it, or why there is no ratio; by runtime."""

    def cells(self) -> list[str]:
        """Cells of a Markdown table: median and quartiles over the rounds."""
        return [
            found if isinstance(found, str) else f"{found.median:.2f} ({found.low:.2f} to {found.high:.2f})"
            for found in self.ratios.values()
        ]


def compare(
    pairs: Mapping[str, tuple[TimedBackend, TimedBackend]], rounds: int | None, report: Report, what: str
) -> dict[str, Ratio | str]:
    """Time of the first of each pair divided by that of the second, or why one of them does not run; by measure.

    One that is part of several pairs is opened and timed once.
    """
    running: dict[TimedBackend, Backend] = {}
    failed: dict[TimedBackend, str] = {}
    for timed in dict.fromkeys(timed for pair in pairs.values() for timed in pair):
        try:
            backend = timed.open()
            backend.run(timed.feed)
            running[timed] = backend
        except FiqaError as error:
            failed[timed] = f"no: {error}"
    steps = [{STEP: lambda timed=timed, b=b: b.run(timed.feed)} for timed, b in running.items()]
    timings = dict(zip(running, measure(steps, rounds, report, what), strict=True))
    for backend in running.values():
        backend.close()
    return {
        name: failed.get(without) or failed.get(best) or ratio(timings[without][STEP], timings[best][STEP])
        for name, (without, best) in pairs.items()
    }


def open_variant(runtime: str, path: Path, spec: ModelSpec, threads: int | None) -> Backend:
    """Open the file `path` in `runtime` as it is, without what our own backend for ONNX Runtime rewrites when it loads
    a file."""
    card = Card(spec.name, "fp32", "onnx", spec.input, spec.outputs, spec.licence, spec.source, spec.max_batch)
    threads = threads or thread_limit()
    return PlainSession(path, card, threads) if runtime == "onnxruntime" else open_backend(runtime, path, card, threads)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))

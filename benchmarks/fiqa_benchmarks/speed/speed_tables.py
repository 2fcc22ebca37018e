"""Prints what ``fiqa-bench`` measured, as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fiqa_benchmarks.speed.bench import END_TO_END, NETWORK, Result

BUSY = 0.5
"""Load per core before the start above which people are warned."""


def print_tables(console: Console, results: list[Result], batches: Sequence[int], here: Mapping[str, Any]) -> None:
    """Print everything that was measured; `here` is what :func:`fiqa_benchmarks.speed.machine.machine` says."""
    for batch in batches:
        console.print(_speed(results, batch))
    console.print(_size(results, batches))
    console.print(_conditions(here), highlight=False)


def _speed(results: list[Result], batch: int) -> Table:
    table = Table(title=f"Batch {batch}, milliseconds per call", title_justify="left")
    table.add_column("contender", overflow="fold")
    columns = ("network", "p95", "p99", "x first", "from crops", "overhead", "images/s", "max |d|", "SRCC")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    for result in results:
        if batch not in result.batches:
            continue
        outcome = result.batches[batch]
        network, whole = (outcome.timings[step] for step in (NETWORK, END_TO_END))
        difference = outcome.difference
        score = difference and difference.score
        table.add_row(
            _label(result),
            *(f"{1e3 * network.percentile(q):.2f}" for q in (50, 95, 99)),
            f"{outcome.ratios[NETWORK].median:.2f}",
            f"{1e3 * whole.percentile(50):.2f}",
            f"{outcome.overhead.median:.3f}",
            f"{batch / whole.percentile(50):.1f}",
            f"{max(difference.max_abs.values()):.1e}" if difference else "-",
            f"{score.srcc:.4f}" if score else "-",
        )
    return table


def _size(results: list[Result], batches: Sequence[int]) -> Table:
    table = Table(title="Loading and memory", title_justify="left")
    table.add_column("contender", overflow="fold")
    for column in ("load ms", "file MB", *(f"peak MB, batch {batch}" for batch in batches)):
        table.add_column(column, justify="right", no_wrap=True)
    for result in results:
        loaded = result.loaded
        if result.error or loaded is None:
            continue
        table.add_row(
            _label(result),
            f"{1e3 * loaded.footprint.load_seconds:.0f}",
            f"{loaded.file_bytes / 1e6:.1f}" if loaded.file_bytes else "-",
            *(f"{loaded.footprint.peak_bytes[batch] / 1e6:.0f}" for batch in batches),
        )
    return table


def _conditions(here: Mapping[str, Any]) -> str:
    load, cores = here["load_average"], here["usable_cores"]
    line = f"{escape(here['cpu'])}, {cores:g} cores"
    if load is None or load < BUSY * cores:
        return line
    return f"{line}; [yellow]load {load:.1f} before the start: rough, repeat when idle (--threads 1 suffers least)[/]"


def _label(result: Result) -> str:
    name, backend = result.contender.name, result.loaded and result.loaded.backend["name"]
    return escape(name if name == backend else f"{name} ({backend})")

"""``fiqa-bench``: how fast an artefact is here, against what else could run the network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from fiqa_runtime.card import read_card
from fiqa_runtime.console import check_output_folder, progress_bar, run, stderr, write_json
from fiqa_runtime.errors import InputError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fiqa_benchmarks.bench import END_TO_END, NETWORK, Result, as_json, bench
from fiqa_benchmarks.crops import folder_crops, seeded_crops
from fiqa_benchmarks.machine import machine, versions
from fiqa_benchmarks.peers import contenders

IMAGES = 16
"""Seeded images on which contenders are compared; more where a batch is larger."""
MOST_PER_BATCH = 1024
TABLE_WIDTH = 120
BUSY = 0.5
"""Load per core before the start from which people are warned."""

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def command(
    engine: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE...", help="Artefacts; a bare name is also looked for in engines/."),
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="More artefacts.")] = None,
    batch: Annotated[str, typer.Option(metavar="N,N...", help="Batch sizes.")] = "1",
    against: Annotated[
        str | None,
        typer.Option(metavar="PEER,PEER...", help="Also the first engine in torch, onnxruntime, opencv, openvino."),
    ] = None,
    backend: Annotated[str, typer.Option(help="Backend of the engines, as in fiqa-score.")] = "auto",
    images: Annotated[Path | None, typer.Option(help="Folder of crops; default: seeded images.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of every backend.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds; default: 3 to 30, about a minute.")] = None,
    json: Annotated[str | None, typer.Option(help="Write one JSON document to FILE, or '-' for stdout.")] = None,
) -> None:
    """Latency, throughput, memory and agreement of artefacts, measured in interleaved rounds.

    Everything is compared with the first engine: 'x first' is the time divided by the first engine's. The
    network is timed alone, on a prepared tensor, and from crops, as Scorer.score runs it;
    'overhead' is the ratio of the two.

    Exit code 0: done. 2: bad input or missing dependency; contenders that could run were measured.
    """
    sizes = _batch_sizes(batch)
    entered = contenders([*(engine or []), *(more or [])], backend, _names(against))
    spec = read_card(Path(entered[0].artefact)).input
    crops = folder_crops(images, spec) if images else seeded_crops(spec, max(IMAGES, *sizes))
    if json and json != "-":
        check_output_folder(Path(json).parent)
    document: dict[str, Any] = {"machine": machine(), "versions": versions()}
    with progress_bar() as report:
        results = bench(entered, crops, sizes, threads, rounds, report)
    console = Console(stderr=json == "-")
    if not console.is_terminal:
        console.width = TABLE_WIDTH
    for size in sizes:
        console.print(_speed(results, size))
    console.print(_size(results, sizes))
    console.print(_conditions(document["machine"]), highlight=False)
    if json:
        settings = {
            "batches": sizes,
            "threads": threads,
            "images": {"source": str(images or "seeded"), "count": len(crops)},
        }
        write_json({**document, "settings": settings, **as_json(results)}, json)
    failed = [result for result in results if result.error]
    for result in failed:
        line = f"[bold red]{escape(result.contender.name)}:[/] {escape(str(result.error))}"
        stderr.print(line, soft_wrap=True, highlight=False)
    if failed:
        raise SystemExit(2)


def _names(text: str | None) -> list[str]:
    """The parts of a list with commas."""
    return [name.strip() for name in text.split(",")] if text else []


def _batch_sizes(text: str) -> list[int]:
    sizes = _names(text)
    if not sizes or not all(size.isdecimal() and 1 <= int(size) <= MOST_PER_BATCH for size in sizes):
        raise InputError(
            f"--batch '{text}' names no batch sizes; give some from 1 to {MOST_PER_BATCH} as in --batch 1,8"
        )
    return list(dict.fromkeys(map(int, sizes)))


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


def _size(results: list[Result], batches: list[int]) -> Table:
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


def _conditions(here: dict[str, Any]) -> str:
    load, cores = here["load_average"], here["usable_cores"]
    line = f"{escape(here['cpu'])}, {cores:g} cores"
    if load is None or load < BUSY * cores:
        return line
    return f"{line}; [yellow]load {load:.1f} before the start: rough, repeat when idle (--threads 1 suffers least)[/]"


def _label(result: Result) -> str:
    name, backend = result.contender.name, result.loaded and result.loaded.backend["name"]
    return name if name == backend else f"{name} ({backend})"


def main() -> None:
    """Entry point of ``fiqa-bench``."""
    run(app)


if __name__ == "__main__":
    main()

"""Makes the CPU table: ratios of times, each measured in interleaved rounds and marked as reached or not.

    python -m fiqa_benchmarks.readme_tables.cpu --engines engines/bench --json cpu.json

Artefacts that the folder does not hold are exported first: eDifFIQA(T) under its stand-in weights, the others under
seeded ones, as ``MODEL.fp32.onnx``; ``MODEL.int8.onnx`` is used where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from fiqa_runtime.artefact.weight_files import locate
from fiqa_runtime.artefact.zoo import DETECTOR, find_model
from fiqa_runtime.errors import FiqaError, InputError
from fiqa_runtime.system.child import last_line, run_module
from fiqa_runtime.system.progress import Report
from fiqa_runtime.terminal.console import progress_bar, run
from fiqa_runtime.terminal.outputs import check_output_folder, write_json
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fiqa_benchmarks.readme_tables.cpu_network import NetworkTask, measure_network
from fiqa_benchmarks.readme_tables.cpu_rows import Row, detector_row, memory_row, network_rows, pipeline_row
from fiqa_benchmarks.speed.machine import machine, versions
from fiqa_benchmarks.speed.roofline import measure_peaks

NETWORKS = (
    NetworkTask("ediffiqa-t", (1, 8), 64, 10, ("onnxruntime", "openvino", "opencv"), plain=True),
    NetworkTask("cr-fiqa-s", (1, 8), 32, 5),
    NetworkTask("ifqa", (1, 8), 16, 3),
    NetworkTask("dsl-fiqa", (20,), 20, 3, ("openvino",), one_by_one=True),
    NetworkTask("ifqa-plus", (1, 2), 16, 3, ("openvino",)),
)
"""The networks that are measured. The two largest are not run in ONNX Runtime, which is slower for them and would add
minutes."""
WIDTH = 150

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def command(
    engines: Annotated[Path, typer.Option(help="Folder of the artefacts; what is missing is exported into it.")] = Path(
        "engines/bench"
    ),
    images: Annotated[
        Path | None, typer.Option(help="Folder of photos for the two rows that start from photos.")
    ] = None,
    weights: Annotated[str, typer.Option(help="Of eDifFIQA(T), where it has to be exported.")] = "standin",
    only: Annotated[str | None, typer.Option(metavar="MODEL,...", help="These networks alone.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of everything.")] = None,
    json: Annotated[str | None, typer.Option(help="Write one JSON document to FILE, or '-' for stdout.")] = None,
) -> None:
    """Print what is reached on this machine of the figures that fiqa-edge aims at.

    Exit code 0: measured, whatever was reached. 2: bad input or missing dependency.
    """
    check_output_folder(engines)
    networks = _chosen(only.split(",")) if only else NETWORKS
    for task in networks:
        _export(task.model, weights if task.model == "ediffiqa-t" else "seeded", engines)
    console = Console(stderr=json == "-", width=WIDTH)
    here = machine()
    rows: list[Row] = []
    with progress_bar() as report:
        for measuring in _parts(networks, engines, images, threads, report):
            try:
                rows += measuring()
            except FiqaError as error:
                console.print(f"[bold red]not measured:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
    peaks = measure_peaks(threads)
    console.print(_table(rows))
    kinds = ", ".join(f"{rate / 1e9:.0f} Gop/s {kind}" for kind, rate in peaks.items())
    load = "" if here["load_average"] is None else f", load {here['load_average']:.1f} before the start"
    console.print(escape(f"{here['cpu']}, {here['usable_cores']:g} cores{load}; peak {kinds}"))
    if json:
        rows_json = [row.as_json() for row in rows]
        write_json({"machine": here, "versions": versions(), "peaks": peaks, "rows": rows_json}, json)


def _chosen(names: Iterable[str]) -> list[NetworkTask]:
    """The entries of the networks called `names`; raises InputError where one is unknown or not in the table."""
    models = [find_model(name.strip()).name for name in names]
    known = {task.model: task for task in NETWORKS}
    if lost := [model for model in models if model not in known]:
        raise InputError(f"--only {', '.join(lost)} is not in this table; --only takes {', '.join(known)}")
    return [task for task in NETWORKS if task.model in models]


def _parts(
    networks: Iterable[NetworkTask], engines: Path, images: Path | None, threads: int | None, report: Report
) -> Iterable[Callable[[], list[Row]]]:
    """The measurements, in order."""
    for task in networks:
        engine, int8 = (engines / f"{task.model}.{precision}.onnx" for precision in ("fp32", "int8"))
        found = int8 if int8.is_file() else None
        yield partial(_network, task, engine, found, threads, report)
    engine = engines / "ediffiqa-t.fp32.onnx"
    if engine.is_file():
        yield partial(_detector, images, threads, report)
        yield partial(_pipeline, engine, images, threads, report)
        yield partial(_memory, engine, images)


def _network(task: NetworkTask, engine: Path, int8: Path | None, threads: int | None, report: Report) -> list[Row]:
    return network_rows(task.model, measure_network(task, engine, int8, threads, report))


def _detector(images: Path | None, threads: int | None, report: Report) -> list[Row]:
    return [detector_row(locate(DETECTOR), images, threads, report)]


def _pipeline(engine: Path, images: Path | None, threads: int | None, report: Report) -> list[Row]:
    return [pipeline_row(engine, locate(DETECTOR), images, threads, report)]


def _memory(engine: Path, images: Path | None) -> list[Row]:
    return [memory_row(engine, locate(DETECTOR), images)]


def _export(model: str, weights: str, folder: Path) -> None:
    """Export in a process of its own, so that its memory is free again before anything is timed."""
    if (folder / f"{model}.fp32.onnx").is_file():
        return
    result = run_module("fiqa_export.cli", model, "--weights", weights, "--out", str(folder))
    if result.returncode:
        raise InputError(f"{model} cannot be exported with {weights} weights: {last_line(result)}")


def _table(rows: list[Row]) -> Table:
    table = Table(title="To reach on a CPU, ratios within interleaved rounds", title_justify="left")
    for name in ("figure", "batch", "to reach", "here", "quartiles", "", "how"):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*row.cells())
    return table


def main() -> None:
    """Entry point."""
    run(app)


if __name__ == "__main__":
    main()

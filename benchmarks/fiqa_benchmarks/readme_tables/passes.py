"""Makes the table of docs/evidence/passes.md: what each rewrite of an exported graph gains in each runtime.

    python -m fiqa_benchmarks.readme_tables.passes

Networks are exported under seeded weights (minutes), without and with each measure, and timed at batch 1 in float32.
All variants of a network are timed in the same interleaved rounds.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from fiqa_runtime.artefact.zoo import MODELS, find_model
from fiqa_runtime.backends import available
from fiqa_runtime.backends.base import Inputs
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import network_input
from fiqa_runtime.system.progress import Report, silent
from fiqa_runtime.terminal.console import progress_bar, run
from fiqa_runtime.terminal.outputs import write_json

from fiqa_benchmarks.contenders.crops import seeded_crops
from fiqa_benchmarks.readme_tables.graph_variants import BATCH_NORMS, OPERATORS, PRELU, write_variants
from fiqa_benchmarks.readme_tables.speedups import Speedup, TimedBackend, compare, markdown, open_variant
from fiqa_benchmarks.speed.machine import machine, versions

MEASURES: Mapping[str, tuple[str, ...]] = {
    "ediffiqa-t": (PRELU,),
    "cr-fiqa-s": (PRELU,),
    "yunet-s": ("constant_reshapes", "join_branches", BATCH_NORMS),
    "ifqa": ("pointwise_on_small_maps", "average_inside_kernel", "convolve_before_repeat"),
    "facexformer": ("fold_constants", "unused_and_double", *OPERATORS),
}
"""The measures that are timed on each network. The two passes that only give names are left out."""

app = typer.Typer(add_completion=False)


def measure_speedups(
    network: str, threads: int | None = None, rounds: int | None = None, report: Report = silent
) -> list[Speedup]:
    """Export `network` under seeded weights without and with each of its MEASURES, and time the files in each runtime.

    Raises InputError for a network without measures, and what exporting raises.
    """
    if network not in MEASURES:
        raise InputError(f"nothing is measured on {network}; choose from {', '.join(MEASURES)}")
    spec = MODELS[network]
    feed: Inputs = {spec.input.name: network_input(seeded_crops(spec.input, 1), spec.input)}
    found = {}
    with tempfile.TemporaryDirectory(prefix="fiqa-bench-") as folder:
        report(f"{network}: export", 0, 1)
        variants = write_variants(network, MEASURES[network], Path(folder))
        report(f"{network}: export", 1, 1)
        for runtime in available():
            files = dict.fromkeys(path for pair in variants.values() for path in pair)
            backends = {path: TimedBackend(partial(open_variant, runtime, path, spec, threads), feed) for path in files}
            pairs = {name: (backends[without], backends[best]) for name, (without, best) in variants.items()}
            found[runtime] = compare(pairs, rounds, report, f"{network} in {runtime}")
    return [Speedup(name, network, {runtime: ratios[name] for runtime, ratios in found.items()}) for name in variants]


@app.command()
def passes(
    only: Annotated[str | None, typer.Option(metavar="MODEL,...", help="These networks alone.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of every runtime.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Default: as many as begin within a minute.")] = None,
    json: Annotated[str | None, typer.Option(help="Write one JSON document to FILE, or '-' for stdout.")] = None,
) -> None:
    """Measure what each rewrite of a graph gains and print a Markdown table."""
    networks = [find_model(name.strip()).name for name in only.split(",")] if only else list(MEASURES)
    with progress_bar() as report:
        speedups = [speedup for network in networks for speedup in measure_speedups(network, threads, rounds, report)]
    rows = [[speedup.measure, f"`{speedup.network}`", *speedup.cells()] for speedup in speedups]
    typer.echo(markdown(["time without / with", "network", *speedups[0].ratios], rows), err=json == "-")
    if json:
        write_json(
            {"machine": machine(), "versions": versions(), "gains": [asdict(speedup) for speedup in speedups]}, json
        )


if __name__ == "__main__":
    run(app)

"""Makes the tables of docs/evidence: what each of DSL-FIQA's savings saves.

    python -m fiqa_benchmarks.readme_tables.dsl_fiqa

Exports the network under seeded weights as it is, and once without each saving (minutes, some gigabytes). Then it times
one batch of crops in each variant and in the best one, and the 20 crops of a photo in batches of several sizes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from fiqa_runtime.artefact.card import Card, with_files, write_card
from fiqa_runtime.artefact.facts import Weights
from fiqa_runtime.backends import available
from fiqa_runtime.errors import DependencyError
from fiqa_runtime.system.progress import Report
from fiqa_runtime.terminal.console import progress_bar, run
from fiqa_runtime.terminal.outputs import write_json

from fiqa_benchmarks.contenders.peers import Contender, open_contender
from fiqa_benchmarks.readme_tables.dsl_variants import BEST, Variant, write_variants
from fiqa_benchmarks.readme_tables.graph_variants import written_out_file
from fiqa_benchmarks.readme_tables.speedups import Speedup, TimedBackend, compare, markdown, open_variant
from fiqa_benchmarks.readme_tables.unfused_openvino import UnfusedOpenVino
from fiqa_benchmarks.speed.latency import Ratio, Timing, measure
from fiqa_benchmarks.speed.machine import machine, versions
from fiqa_benchmarks.speed.memory import footprint

RUNTIMES = ("onnxruntime", "openvino")
"""OpenCV is left out: it is the slowest there and would add minutes."""
SIZES = (1, 4, 20)
"""Crops at once: one by one as published, four as in our artefacts, and all 20 of a photo."""
CROPS = 20
ATTENTION = "attention in fused form"
"""What this saving means: in OpenVINO each attention is one operation instead of its parts, in ONNX Runtime its softmax
is one node instead of several."""

app = typer.Typer(add_completion=False)


def measure_savings(
    variants: Mapping[str, Variant], runtimes: Sequence[str], threads: int | None, rounds: int | None, report: Report
) -> list[Speedup]:
    """Time one batch of crops without each saving and in the best variant, in each runtime. Two networks are in memory
    at once."""
    best = variants[BEST]
    found: dict[str, dict[str, Ratio | str]] = {}
    for runtime in runtimes:
        timed = TimedBackend(partial(open_variant, runtime, best.path, best.spec, threads), best.feed)
        pairs = {
            name: (
                TimedBackend(partial(open_variant, runtime, variant.path, variant.spec, threads), variant.feed),
                timed,
            )
            for name, variant in variants.items()
            if name != BEST
        }
        pairs[ATTENTION] = _unfused(runtime, best, threads), timed
        found[runtime] = {}
        for name, pair in pairs.items():
            found[runtime] |= compare({name: pair}, rounds, report, f"{name}, in {runtime}")
    return [
        Speedup(name, best.spec.name, {runtime: ratios[name] for runtime, ratios in found.items()}) for name in pairs
    ]


def _unfused(runtime: str, best: Variant, threads: int | None) -> TimedBackend:
    if runtime == "openvino":
        return TimedBackend(partial(UnfusedOpenVino, best.path, threads), best.feed)
    path = written_out_file(best.path, "Softmax")
    return TimedBackend(partial(open_variant, runtime, path, best.spec, threads), best.feed)


def measure_batches(
    best: Variant, runtime: str, threads: int | None, rounds: int | None, report: Report
) -> dict[int, tuple[Timing, int]]:
    """The time of CROPS crops, and peak resident bytes in a process of its own, by number of crops at once."""
    contenders = {size: Contender(str(size), str(_with_card(best, runtime, size)), runtime) for size in SIZES}
    memory = {size: footprint(each, [size], threads).peak_bytes[size] for size, each in contenders.items()}
    (crops,) = best.feed.values()
    with open_contender(contenders[SIZES[0]], threads) as scorer:
        name = best.spec.input.name
        feeds = {size: {name: crops[[i % len(crops) for i in range(size)]]} for size in SIZES}
        steps = [
            {"crops": lambda size=size: [scorer.backend.run(feeds[size]) for _ in range(CROPS // size)]}
            for size in SIZES
        ]
        timings = measure(steps, rounds, report, f"batches in {runtime}")
    return {size: (timing["crops"], memory[size]) for size, timing in zip(SIZES, timings, strict=True)}


def _with_card(best: Variant, runtime: str, size: int) -> Path:
    """The file of `best` under another name, with a card that allows `size` crops at once."""
    path = best.path.with_name(f"{runtime}.{size}.onnx")
    os.link(best.path, path)
    spec = best.spec
    card = Card(spec.name, "fp32", "onnx", spec.input, spec.outputs, spec.licence, spec.source, size)
    write_card(with_files(replace(card, weights=Weights("seeded", seed=0)), path.parent, [path.name]), path)
    return path


@app.command()
def savings(
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of every runtime.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Default: as many as begin within a minute.")] = None,
    json: Annotated[str | None, typer.Option(help="Write one JSON document to FILE, or '-' for stdout.")] = None,
) -> None:
    """Measure what each of DSL-FIQA's savings saves and print two Markdown tables."""
    runtimes = [name for name in RUNTIMES if name in available()]
    if not runtimes:
        raise DependencyError("neither runtime is installed; pip install 'fiqa-edge[onnxruntime]'")
    with tempfile.TemporaryDirectory(prefix="fiqa-bench-") as folder, progress_bar() as report:
        report("export", 0, 1)
        variants = {variant.name: variant for variant in write_variants(Path(folder))}
        report("export", 1, 1)
        speedups = measure_savings(variants, runtimes, threads, rounds, report)
        batches = {name: measure_batches(variants[BEST], name, threads, rounds, report) for name in runtimes}
    macs = {name: variant.macs for name, variant in variants.items()}
    typer.echo(_savings_table(speedups, macs), err=json == "-")
    typer.echo("\n" + _batches_table(batches), err=json == "-")
    if json:
        sizes = {
            name: {size: {**timing.as_json(CROPS), "peak_resident_bytes": peak} for size, (timing, peak) in of.items()}
            for name, of in batches.items()
        }
        rows = [asdict(speedup) for speedup in speedups]
        write_json({"machine": machine(), "versions": versions(), "macs": macs, "gains": rows, "batches": sizes}, json)


def _savings_table(speedups: Sequence[Speedup], macs: Mapping[str, int]) -> str:
    best = macs[BEST]
    rows = [
        [speedup.measure, f"{macs.get(speedup.measure, best) / 1e9:.2f} / {best / 1e9:.2f}", *speedup.cells()]
        for speedup in speedups
    ]
    return markdown(["time without / with", "GMAC without / with", *speedups[0].ratios], rows)


def _batches_table(batches: Mapping[str, Mapping[int, tuple[Timing, int]]]) -> str:
    rows = [
        [str(size), *(f"{of[size][0].percentile(50):.2f} s, {of[size][1] / 2**20:.0f} MiB" for of in batches.values())]
        for size in SIZES
    ]
    return markdown([f"crops at once, of {CROPS}", *batches], rows)


if __name__ == "__main__":
    run(app)

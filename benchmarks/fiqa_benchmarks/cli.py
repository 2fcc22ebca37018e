"""``fiqa-bench``: how fast an artefact is here, and how good its scores are."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.artefact.location import artefact_inputs
from fiqa_runtime.artefact.spec import InputSpec, check_precision
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.system.host import check_threads
from fiqa_runtime.terminal.common_options import Quiet, Verbose, Version, panel
from fiqa_runtime.terminal.console import run
from fiqa_runtime.terminal.options import refuse_ignored, refuse_parts_alone, typed_options
from fiqa_runtime.terminal.outputs import check_outputs
from rich.console import Console

from fiqa_benchmarks.contenders.crops import folder_crops, seeded_crops
from fiqa_benchmarks.contenders.peers import contenders
from fiqa_benchmarks.gate.gate import open_gate
from fiqa_benchmarks.report.page import check_installed
from fiqa_benchmarks.runs import Output, Settings, measure_speed, time_pipeline, watch_clips
from fiqa_benchmarks.speed.machine import machine

IMAGES = 16
"""Number of seeded images on which contenders are compared; a larger batch gets as many as it needs."""
MOST_PER_BATCH = 1024
TABLE_WIDTH = 120
KINDS = ("--baseline", "--pipeline", "--watch")
"""Kinds of run, of which one may be asked for at a time."""
PARTS = {
    "--pipeline": ("--streams",),
    "--baseline": ("--budget", "--junit"),
}
"""The options that mean nothing without their kind of run."""
IGNORES = {
    "--pipeline": ("--batch", "--roofline", "--against", "--html"),
    "--watch": ("--batch", "--roofline", "--against", "--html", "--streams"),
}
"""The options that each kind of run ignores."""

app = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)
_what, _how, _where = panel("What is measured"), panel("How it is run"), panel("Where it goes")
_photos, _gate = panel("Whole photos (--pipeline)"), panel("A gate for CI (--baseline)")
EXAMPLE = "Example: fiqa-bench --engine ediffiqa-t.fp32.onnx ediffiqa-t.int8.onnx --batch 1,8 --html report.html"


@app.command(epilog=EXAMPLE)
def command(
    context: typer.Context,
    engine: Annotated[
        list[str] | None,
        _what(metavar="FILE...", help="Artefacts; a bare name is also looked for in engines/."),
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="More artefacts.")] = None,
    batch: Annotated[str, _what(metavar="N,N...", help="Batch sizes.")] = "1",
    against: Annotated[
        str | None,
        _what(
            metavar="PEER,PEER...",
            help="Also the first engine in torch, torch-compile, torch-cuda-graph, onnxruntime, opencv, openvino; "
            "with -plain behind a backend: the untouched torch.onnx export there.",
        ),
    ] = None,
    backend: Annotated[str, _how(help="Backend of the engines, as in fiqa-score.")] = "auto",
    device: Annotated[str | None, _how(help="What runs the engines, as in fiqa-score.")] = None,
    cpu_precision: Annotated[str, _how(help="exact or fast, of the engines, as in fiqa-score.")] = "exact",
    images: Annotated[Path | None, _what(help="Folder of crops; default: seeded images.")] = None,
    threads: Annotated[int | None, _how(min=1, help="Threads of every backend.")] = None,
    rounds: Annotated[int | None, _how(min=1, help="Rounds; default: 3 to 30, about a minute.")] = None,
    json: Annotated[str | None, _where(help="Write one JSON document to FILE, or '-' for stdout.")] = None,
    roofline: Annotated[
        bool, _what("--roofline", help="Also: the share of this machine's peak that each network reaches.")
    ] = False,
    pipeline: Annotated[
        bool, _what("--pipeline", help="Instead: photos of --images to scores, against OpenCV Zoo's demo.")
    ] = False,
    watch: Annotated[
        bool,
        _what(
            "--watch",
            help="Instead: best shots of made-up clips, what each way of watching loses and how fast it is. Faces are "
            "those of --images, or two that packages bring.",
        ),
    ] = False,
    detector: Annotated[Path | None, _photos(help="--pipeline, --watch: YuNet file, as in fiqa-score.")] = None,
    streams: Annotated[int | None, _photos(min=1, help="--pipeline: photos at once, as in fiqa-score.")] = None,
    html: Annotated[Path | None, _where(help="Write one self-contained page with plots.")] = None,
    baseline: Annotated[
        Path | None, _gate(metavar="OLD.json", help="Gate: document of an earlier run of the old engine.")
    ] = None,
    budget: Annotated[
        Path | None,
        _gate(help="Gate: TOML with any of srcc, flips, max_abs, latency_ratio, bytes_ratio."),
    ] = None,
    junit: Annotated[Path | None, _gate(help="Gate: write JUnit XML, a test case per budget.")] = None,
    version: Version = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Latency, throughput, memory and agreement of artefacts, measured in interleaved rounds.

    Everything is compared with the first engine: 'x first' is the time divided by the first engine's. The
    network is timed alone, on a prepared tensor, and from crops, as Scorer.score runs it;
    'overhead' is the ratio of the two.

    --roofline sets the operations of each network against matrix products of this machine.

    Instead of that, --pipeline times the whole way from photos to scored faces, and --watch holds fiqa-watch against
    scoring every face of every frame. With --baseline and --budget the first engine is also compared with an earlier
    run. With --images the page of --html also shows how scores fall as faces get worse. How good scores are, against
    recognition and against people's opinions, fiqa-eval says.

    Exit code 0: done. 2: bad input or missing dependency; contenders that could run were measured.
    3: a budget of the gate is broken.
    """
    _check_options(typed_options(context))
    check_threads(threads)
    names = [*(engine or []), *(more or [])]
    inputs = [
        *(("--baseline", baseline), ("--budget", budget)),
        *(file for name in names for file in artefact_inputs(name)),
    ]
    check_outputs([("--json", json), ("--html", html), ("--junit", junit)], inputs)
    out = _output(json, html)
    entered = contenders(names, backend, _names(against), check_precision(cpu_precision), device)
    if pipeline:
        time_pipeline(out, entered, images, detector, Settings(threads, rounds), streams or 1)
    elif watch:
        watch_clips(out, entered, images, detector, Settings(threads, rounds))
    else:
        settings = Settings(threads, rounds, _batch_sizes(batch), images, roofline)
        card = read_card(Path(entered[0].artefact))
        crops = _crops(settings, card.input)
        gate = open_gate(baseline, budget, junit, entered[0], card, crops) if baseline else None
        measure_speed(out, entered, crops, settings, gate)


def _check_options(typed: Collection[str]) -> None:
    """Raise InputError where the options `typed` ask for two kinds of run at once, or one of them has no effect."""
    kinds = [name for name in KINDS if name in typed]
    if len(kinds) > 1:
        raise InputError(f"{' and '.join(kinds)} do not go together; run one after the other")
    refuse_parts_alone(typed, PARTS)
    refuse_ignored(typed, IGNORES)
    if "--detector" in typed and not {"--pipeline", "--watch"} & {*typed}:
        raise InputError("--detector is a part of --pipeline and --watch; add one of them or leave it out")


def _output(json: str | None, html: Path | None) -> Output:
    """Where results go; raises DependencyError where a page is asked for and what draws it is not installed."""
    if html:
        check_installed()
    out = Output(Console(stderr=json == "-"), json, html, machine())
    if not out.console.is_terminal:
        out.console.width = TABLE_WIDTH
    return out


def _crops(settings: Settings, spec: InputSpec) -> list[Image]:
    return folder_crops(settings.images, spec) if settings.images else seeded_crops(spec, max(IMAGES, *settings.sizes))


def _names(text: str | None) -> list[str]:
    """The parts of a list that is separated by commas."""
    return [name.strip() for name in text.split(",")] if text else []


def _batch_sizes(text: str) -> list[int]:
    sizes = _names(text)
    if not sizes or not all(size.isdecimal() and 1 <= int(size) <= MOST_PER_BATCH for size in sizes):
        raise InputError(
            f"--batch '{text}' names no batch sizes; give some from 1 to {MOST_PER_BATCH} as in --batch 1,8"
        )
    return list(dict.fromkeys(map(int, sizes)))


def main() -> None:
    """Entry point of ``fiqa-bench``."""
    run(app)


if __name__ == "__main__":
    main()

"""``fiqa-eval opinions``: engines against people's opinion scores; an interrupted run goes on where it stopped."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from fiqa_benchmarks.speed.machine import versions
from fiqa_runtime.artefact.location import artefact_inputs, find_artefact
from fiqa_runtime.artefact.spec import check_precision
from fiqa_runtime.backends.devices import DEVICE_HELP
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.reading import find_images
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.files import user_cache, write_text
from fiqa_runtime.system.host import check_threads
from fiqa_runtime.terminal.common_options import Quiet, Verbose, panel
from fiqa_runtime.terminal.console import progress_bar, tell
from fiqa_runtime.terminal.outputs import check_output_folder, check_outputs
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fiqa_evaluation.command.results import Results, numbers
from fiqa_evaluation.data_set.files import read_quality
from fiqa_evaluation.opinions.accuracy import STATISTICS, Accuracy, Estimate
from fiqa_evaluation.opinions.evaluate import Opinions, fit
from fiqa_evaluation.opinions.labels import LabelledImages, check_range, match_labels, read_groups, read_labels
from fiqa_evaluation.opinions.score_labels import Unusable, score_labelled
from fiqa_evaluation.opinions.tables import csv_text, latex_text
from fiqa_evaluation.scores.score_set import CACHE

SCHEMA = "fiqa-eval-opinions.v1"
EXAMPLE = (
    "Example: fiqa-eval opinions cgfiqa/ --engine ediffiqa-t.fp32.onnx ifqa.fp32.onnx --by skin_tone --groups tones.csv"
)
_what, _split, _speed, _where = panel("What is compared"), panel("Groups"), panel("Speed"), panel("Where it goes")


def opinions(
    labels: Annotated[
        Path, typer.Argument(metavar="LABELS", help="label.json, its folder, or a CSV with image and mos.")
    ],
    engine: Annotated[
        list[str] | None, _what(metavar="FILE...", help="Artefacts; a bare name is also looked for in engines/.")
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(metavar="FILE...", help="More artefacts.")] = None,
    scores: Annotated[
        list[Path] | None, _what(metavar="FILE", help="A quality file instead of an engine; repeat it for several.")
    ] = None,
    images: Annotated[Path | None, _what(help="Folder of the images; default: that of the labels.")] = None,
    limits: Annotated[
        str | None, _what("--range", metavar="LOW,HIGH", help="Refuse opinion scores outside of it.")
    ] = None,
    by: Annotated[str | None, _split(metavar="COLUMN", help="Also compare the images of each value apart.")] = None,
    groups: Annotated[
        Path | None, _split(metavar="FILE", help="CSV with image and that column; default: the labels' own.")
    ] = None,
    backend: Annotated[str, _speed(help="Backend of the engines, as in fiqa-score.")] = "auto",
    device: Annotated[str | None, _speed(help=DEVICE_HELP)] = None,
    cpu_precision: Annotated[str, _speed(help="exact or fast, as in fiqa-score.")] = "exact",
    threads: Annotated[int | None, _speed(min=1, help="Threads of the backend.")] = None,
    cache: Annotated[Path | None, _where(help="File that keeps scores; default: user cache.")] = None,
    json: Annotated[str | None, _where(help="Write one JSON document to FILE, or '-' for stdout.")] = None,
    csv: Annotated[Path | None, _where(help="Write the table as CSV.")] = None,
    latex: Annotated[Path | None, _where(help="Write the table as LaTeX, for booktabs.")] = None,
    html: Annotated[Path | None, _where(help="Write one self-contained page with plots.")] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """How well scores fit people's opinions: SRCC, Kendall's tau, PLCC and RMSE, the last two also after logistics,
    with bootstrap intervals.

    Exit code 0: done. 2: bad input; what could be compared was.
    """
    check_threads(threads)
    precision = check_precision(cpu_precision)
    names = [*(engine or []), *(more or [])]
    if not names and not scores:
        raise InputError("what is compared? name artefacts with --engine, or quality files with --scores")
    if groups is not None and by is None:
        raise InputError("--groups is a part of --by; add --by COLUMN or leave it out")
    inputs = [("LABELS", labels), ("--groups", groups), *(file for name in names for file in artefact_inputs(name))]
    out = Results(json, html)
    check_outputs([*out.files(), ("--csv", csv), ("--latex", latex), ("--cache", cache)], inputs)
    out.check_installed()
    root = images or (labels if labels.is_dir() else labels.parent)
    known = read_labels(labels)
    if limits is not None:
        check_range(known, *_ends(limits))
    matched = match_labels(known, find_images([root]), root)
    unusable: Unusable = {}
    with progress_bar() as report:
        scored: dict[str, Mapping[Path, float]] = {}
        for name, path in engine_names(names).items():
            with Scorer(path, backend, threads, precision, device=device) as scorer:
                scored[name] = score_labelled(scorer, matched.paths, unusable, _cache(cache), name, report)
        scored |= _from_files(scores or [], matched)
        report("draw images", 0, 1)
        split = read_groups(groups or labels, by) if by is not None else None
        found = fit(matched, scored, unusable, split, by, root)
        report("draw images", 1, 1)
    show(out.console, found)
    document = {"versions": versions(), "mos": found.as_json(labels)}
    for place, text in ((csv, csv_text), (latex, latex_text)):
        if place is not None:
            write_text(place, text(found))
            tell([f"wrote {place}"])
    out.write(document, SCHEMA, "Fit to people's opinions", {"opinions": [{"title": "", **document["mos"]}]})
    if error := found.error():
        raise error


def engine_names(engines: Sequence[str]) -> dict[str, Path]:
    """Artefacts by file name, or by path where two have the same."""
    paths = list(dict.fromkeys(str(find_artefact(name)) for name in engines))
    names = [Path(path).name for path in paths]
    if len(set(names)) < len(names):
        names = paths
    return {name: Path(path) for name, path in zip(names, paths, strict=True)}


def show(console: Console, found: Opinions) -> None:
    """Print the tables, and what is to be known of them."""
    console.print(_table(found.whole, "images with opinion scores"))
    for name, part in found.groups.items():
        console.print(_table(part, f"images, {found.column} {name}"))
    counts = f"{len(found.labels.paths)} labelled images: {len(found.scores)} scored, {len(found.unusable)} refused"
    console.print(counts, highlight=False)
    for line in found.notes:
        console.print(f"[yellow]{escape(line)}[/]", highlight=False, soft_wrap=True)


def _from_files(files: Sequence[Path], matched: LabelledImages) -> dict[str, Mapping[Path, float]]:
    names = [path.as_posix() for path in matched.paths]
    return {file.stem: dict(zip(matched.paths, read_quality(file, names).tolist(), strict=True)) for file in files}


def _cache(cache: Path | None) -> Path:
    path = cache or user_cache() / CACHE
    check_output_folder(path.parent)
    return path


def _ends(text: str) -> tuple[float, float]:
    found = numbers("--range", text)
    if len(found) != 2 or found[0] >= found[1]:
        raise InputError(f"--range '{text}' is not a range; write it as in --range 0,1")
    return found[0], found[1]


def _table(found: Accuracy, what: str) -> Table:
    first, *others = found.engines
    title = f"{found.images} {escape(what)}, 95 % intervals from {found.resamples} resamples"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in (first, *others, *(f"{name} - {first}" for name in others)):
        table.add_column(escape(name), justify="right", overflow="fold")
    for key in STATISTICS:
        row = [found.engines[name][key] for name in (first, *others)]
        table.add_row(STATISTICS[key], *map(_cell, (*row, *(found.differences[name][key] for name in others))))
    return table


def _cell(estimate: Estimate) -> str:
    return "undefined" if math.isnan(estimate.value) else str(estimate)

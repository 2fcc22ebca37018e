"""``fiqa-eval discard``: error-versus-discard curves of quality files, in CR-FIQA's file formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from fiqa_benchmarks.speed.machine import versions
from fiqa_runtime.errors import InputError
from fiqa_runtime.terminal.common_options import Quiet, Verbose, panel
from fiqa_runtime.terminal.console import progress_bar, tell
from fiqa_runtime.terminal.outputs import check_outputs
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fiqa_evaluation.command.results import Results, numbers, words
from fiqa_evaluation.data_set.files import LOWER_IS_BETTER
from fiqa_evaluation.data_set.set_folder import PAIRS, open_set
from fiqa_evaluation.discard.evaluate import (
    ALSO,
    PROTOCOLS,
    Evaluation,
    Method,
    Wanted,
    check_protocol,
    evaluate,
    start_names,
)
from fiqa_evaluation.discard.inputs import Files, Loaded, check_metric, load, named_scores
from fiqa_evaluation.discard.published_files import (
    check_published,
    model_name,
    write_published,
    write_template_lists,
)
from fiqa_evaluation.discard.start import STARTS, Start

SHOWN = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Discard fractions that the table shows; the JSON document holds twenty."""
MOST_DIFFERENCES = 12
"""Most lines about two methods that are printed; the JSON document holds all."""
SCHEMA = "fiqa-eval-discard.v1"
EXAMPLE = "Example: fiqa-eval discard data/lfw --embeddings data/quality_embeddings/lfw_w600k_r50 --bootstrap 1000"
_what, _how, _sure, _where = panel("What is compared"), panel("How"), panel("How sure"), panel("Where it goes")


def discard(
    source: Annotated[
        Path, typer.Argument(metavar="DIR|PAIRS", help="Folder of a prepared data set, or a CR-FIQA pair list.")
    ],
    embeddings: Annotated[
        Path, _what(metavar="DIR|FILE", help="Folder with a NAME.npy for each image, or a .npz or .parquet.")
    ],
    scores: Annotated[
        list[Path] | None,
        _what(metavar="FILE...", help="Quality files, lines of 'path score'; default: those in the set's folder."),
    ] = None,
    more: Annotated[list[Path] | None, typer.Argument(metavar="FILE...", help="More quality files.")] = None,
    templates: Annotated[
        Path | None, _what(metavar="FILE", help="Lines of 'image template media'; the pairs are of templates.")
    ] = None,
    persons: Annotated[
        Path | None, _what(metavar="FILE", help="Lines of 'name person'; default: persons by the genuine pairs.")
    ] = None,
    protocol: Annotated[
        str, _how(help=f"{PROTOCOLS[0]} (threshold fixed) or {PROTOCOLS[1]} (as its scripts do).")
    ] = "edc",
    metric: Annotated[str, _how(help="cosine or euclidean distance.")] = "cosine",
    fmr: Annotated[
        str | None, _how(metavar="X,X...", help="False match rates that fix the threshold; default: 1e-2,1e-3,1e-4.")
    ] = None,
    fnmr: Annotated[
        str | None, _how(metavar="X,X...", help="Instead, or also: false non-match rates that fix it.")
    ] = None,
    limits: Annotated[str, _how(metavar="X,X...", help="Discard fractions at which partial areas end.")] = "0.2,0.3",
    also: Annotated[
        str | None,
        _how(metavar="ERROR,ERROR", help=f"Also {' and '.join(ALSO)}: false matches, DET curves against discard."),
    ] = None,
    lower_is_better: Annotated[bool, _how("--lower-is-better", help="Low scores are good.")] = False,
    bootstrap: Annotated[
        int, _sure(min=0, max=100_000, help="Draws of persons for bands and differences, such as 1000.")
    ] = 0,
    seed: Annotated[int, _sure(min=0, help="Seed of the draws.")] = 0,
    json: Annotated[str | None, _where(help="Write one JSON document to FILE, or '-' for stdout.")] = None,
    as_published: Annotated[
        Path | None, _where(metavar="DIR", help="Write the .npy and .txt files of CR-FIQA's own evaluation.")
    ] = None,
    figure: Annotated[Path | None, _where(help="Write the curves as .pdf, .svg or .png, for a paper.")] = None,
    html: Annotated[Path | None, _where(help="Write one self-contained page with plots.")] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """How well quality scores sort out the pairs on which face recognition fails: error versus discard.

    With templates a template is as good as its worst image, and its embedding is the mean over each media, summed. With
    a bootstrap persons are drawn, and every two methods are compared over the same draws.

    Exit code 0: done. 2: bad input.
    """
    if seed and not bootstrap:
        raise InputError("--seed is a part of --bootstrap; add --bootstrap 1000 or leave it out")
    wanted = Wanted(
        check_protocol(protocol), _starts(fmr, fnmr), numbers("--limits", limits), bootstrap, seed, words(also)
    )
    given = [*(scores or []), *(more or [])]
    files = _files(source, embeddings, given, templates, persons, metric, lower_is_better)
    inputs = [("DIR|PAIRS", files.pairs), *(("--scores", file) for file in files.scores.values())]
    out = Results(json, html, figure)
    check_outputs(out.files(), inputs)
    out.check_installed()
    dataset = files.pairs.absolute().parent.name
    if as_published is not None:
        check_published(as_published, protocol, list(files.scores), dataset)
    with progress_bar() as report:
        report("read pairs, embeddings and scores", 0, 1)
        loaded = load(files, bootstrap > 0)
        report("read pairs, embeddings and scores", 1, 1)
        found = evaluate(loaded.comparisons, loaded.identity, loaded.qualities, files.lower, wanted, report)
    counts = loaded.counts()
    document = {
        "versions": versions(),
        "comparisons": {
            "pairs": str(files.pairs),
            "embeddings": str(embeddings),
            "metric": metric,
            "protocol": protocol,
            "bootstrap": bootstrap,
            "seed": seed if bootstrap else None,
            **counts,
        },
        **found.as_json(),
    }
    for row in document["edc"]:
        row["file"] = str(files.scores[row["name"]])
    show(out.console, found, wanted, counts, metric)
    if as_published is not None:
        _publish(as_published, dataset, files, loaded, found)
    out.write(document, SCHEMA, "Error versus discard", {"discard": [{"title": "", **document}]})


def show(console: Console, found: Evaluation, wanted: Wanted, counts: dict[str, int], metric: str) -> None:
    """Print the curves as tables, and what is to be known of them."""
    for place, start in enumerate(start_names(found.methods)):
        console.print(_table(found.methods, place, start, wanted.limits))
    of = f"{counts['templates']} templates of " if "templates" in counts else ""
    kinds = f"{counts['genuine']} genuine and {counts['impostor']} impostor pairs of {of}{counts['images']} images"
    console.print(f"Protocol {wanted.protocol}, {metric} distance, {kinds}; low areas are good", highlight=False)
    if wanted.resamples:
        console.print(f"95 % intervals from {wanted.resamples} draws of {found.persons} persons", highlight=False)
    for difference in found.differences[:MOST_DIFFERENCES]:
        line = (
            f"{difference.start}, pAUC {difference.limit:g}: {difference.verdict} "
            f"({difference.value:+.6f} [{difference.low:+.6f}, {difference.high:+.6f}])"
        )
        console.print(escape(line), highlight=False, soft_wrap=True)
    for note in notes_of(found):
        console.print(f"[yellow]{escape(note)}[/]", highlight=False, soft_wrap=True)


def _publish(folder: Path, dataset: str, files: Files, loaded: Loaded, found: Evaluation) -> None:
    write_published(folder, dataset, model_name(files.embeddings, dataset), found.methods)
    if loaded.templates:
        write_template_lists(folder, loaded.comparisons, loaded.names, loaded.qualities, files.lower)
    tell([f"wrote {folder / dataset}"])


def notes_of(found: Evaluation) -> list[str]:
    """The notes, each once; a note that is not about all methods begins with their names."""
    by_text: dict[str, list[str]] = {}
    for method in found.methods:
        if method.lower_is_better:
            by_text.setdefault("lower scores are taken for better", []).append(method.name)
        for start, curve in zip(start_names(found.methods), method.curves, strict=True):
            for note in curve.notes:
                by_text.setdefault(f"{start}: {note}", []).append(method.name)
    every = len(found.methods)
    lines = [text if len(names) == every else f"{', '.join(names)}: {text}" for text, names in by_text.items()]
    return [*lines, *found.notes]


def _table(methods: Sequence[Method], place: int, start: str, limits: Sequence[float]) -> Table:
    table = Table(title=f"FNMR at {start} after discarding", title_justify="left")
    table.add_column("scores", overflow="fold")
    for title in (*(f"{share:.0%}" for share in SHOWN), "AUC", *(f"pAUC {limit:g}" for limit in limits)):
        table.add_column(title, justify="right", no_wrap=True)
    for method in methods:
        curve = method.curves[place]
        rates = (f"{rate:.4f}" for rate in curve.at(SHOWN))
        areas = (f"{area:.6f}" for area in (curve.auc, *(curve.pauc[limit] for limit in limits)))
        table.add_row(escape(method.name), *rates, *areas)
    return table


def _files(
    source: Path,
    embeddings: Path,
    scores: Sequence[Path],
    templates: Path | None,
    persons: Path | None,
    metric: str,
    lower_is_better: bool,
) -> Files:
    """The files of a prepared data set, or those that were named."""
    if lost := [file.name for file in scores if file.suffix in (".onnx", ".plan")]:
        raise InputError(f"{lost[0]} is not a score file; score the data set with fiqa-eval score")
    pairs, dataset = source, source.absolute().parent.name
    if source.is_dir():
        data = open_set(source)
        pairs, dataset = source / PAIRS, data.name
        templates, persons = templates or data.templates, persons or data.persons
        scores = scores or sorted(source.glob(f"*_{data.name}.txt"))
    if not scores:
        raise InputError("there are no scores; name quality files in --scores, or write some with fiqa-eval score")
    named = named_scores(scores, dataset)
    lower = frozenset(named) if lower_is_better else LOWER_IS_BETTER.intersection(named)
    return Files(pairs, embeddings, named, templates, persons, check_metric(metric), lower)


def _starts(fmr: str | None, fnmr: str | None) -> tuple[Start, ...]:
    if fmr is None and fnmr is None:
        return STARTS
    by_fmr = [Start("fmr", rate) for rate in numbers("--fmr", fmr)] if fmr else []
    by_fnmr = [Start("fnmr", rate) for rate in numbers("--fnmr", fnmr)] if fnmr else []
    return (*by_fmr, *by_fnmr)

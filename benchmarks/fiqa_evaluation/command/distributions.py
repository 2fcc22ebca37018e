"""``fiqa-eval distributions``: how the qualities of several data sets differ, by each method."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from fiqa_benchmarks.speed.machine import versions
from fiqa_runtime.errors import InputError
from fiqa_runtime.terminal.common_options import Quiet, Verbose, panel
from fiqa_runtime.terminal.outputs import check_outputs
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fiqa_evaluation.command.results import Results
from fiqa_evaluation.data_set.files import Floats, method_name, read_quality
from fiqa_evaluation.data_set.set_folder import SetFolder, open_set
from fiqa_evaluation.distributions.compare import SHARES, Distributions, compare

SCHEMA = "fiqa-eval-distributions.v1"
EXAMPLE = "Example: fiqa-eval distributions data/lfw data/xqlfw --figure spread.pdf"
_what, _where = panel("What is compared"), panel("Where it goes")


def distributions(
    sets: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Folders of prepared data sets, with their quality files.")
    ],
    method: Annotated[
        list[str] | None, _what(metavar="NAME", help="Methods, once for each; default: all that every set has.")
    ] = None,
    json: Annotated[str | None, _where(help="Write one JSON document to FILE, or '-' for stdout.")] = None,
    figure: Annotated[Path | None, _where(help="Write the distributions as .pdf, .svg or .png.")] = None,
    html: Annotated[Path | None, _where(help="Write one self-contained page with plots.")] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """How the qualities of data sets are distributed: quantiles, a two-sample test, the overlap of each two.

    Exit code 0: done. 2: bad input.
    """
    out = Results(json, html, figure)
    check_outputs(out.files())
    out.check_installed()
    opened = [open_set(path) for path in sets]
    names = [data.name for data in opened]
    if len(set(names)) < len(names):
        raise InputError(f"two sets are called {max(names, key=names.count)}; rename the folder of one")
    found = [compare(name, _scores(opened, name)) for name in _methods(opened, method)]
    for each in found:
        show(out.console, each)
    document = {"versions": versions(), "distributions": [each.as_json() for each in found]}
    out.write(document, SCHEMA, "Quality distributions", {"distributions": document["distributions"]})


def show(console: Console, found: Distributions) -> None:
    """Print the figures of each set, then each two sets."""
    table = Table(title=f"Qualities by {escape(found.method)}", title_justify="left")
    table.add_column("set", overflow="fold")
    for title in ("images", "mean", "deviation", *(f"{share:.0%}" for share in SHARES)):
        table.add_column(title, justify="right", no_wrap=True)
    for name, spread in found.sets.items():
        numbers = (spread.mean, spread.deviation, *spread.quantiles.values())
        table.add_row(escape(name), str(spread.images), *(f"{value:.4f}" for value in numbers))
    console.print(table)
    for contrast in found.contrasts:
        line = (
            f"{contrast.first} against {contrast.second}: Kolmogorov-Smirnov {contrast.distance:.4f} "
            f"(p = {contrast.p:.2g}), overlap {contrast.overlap:.3f}; an image of {contrast.first} is better with a "
            f"probability of {contrast.superiority:.3f}"
        )
        console.print(escape(line), highlight=False, soft_wrap=True)
    for note in found.notes:
        console.print(f"[yellow]{escape(note)}[/]", highlight=False, soft_wrap=True)


def _methods(sets: Sequence[SetFolder], wanted: Sequence[str] | None) -> list[str]:
    if wanted:
        return list(dict.fromkeys(wanted))
    known = [{method_name(file, data.name) for file in data.path.glob(f"*_{data.name}.txt")} for data in sets]
    shared = sorted(set.intersection(*known))
    if not shared:
        raise InputError("the sets share no method; score all of them with fiqa-eval score --engine")
    return shared


def _scores(sets: Sequence[SetFolder], method: str) -> dict[str, Floats]:
    return {data.name: read_quality(data.quality_file(method), data.names) for data in sets}

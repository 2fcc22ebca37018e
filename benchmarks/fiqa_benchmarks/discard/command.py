"""``fiqa-bench --edc``: error-versus-discard curves of quality files, in CR-FIQA's file formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from fiqa_runtime.errors import InputError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fiqa_benchmarks.discard.comparisons import Comparisons, Metric, pair_distances
from fiqa_benchmarks.discard.curves import FMRS, LIMITS, DiscardCurve, cr_fiqa_curves, edc_curves
from fiqa_benchmarks.discard.files import LOWER_IS_BETTER, method_name, read_embeddings, read_pairs, read_quality

PROTOCOLS = {"edc": edc_curves, "cr-fiqa": cr_fiqa_curves}
SHOWN = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Discard fractions that the table shows; the JSON document holds twenty."""


@dataclass(frozen=True)
class _Method:
    """One quality file."""

    name: str
    file: Path
    lower_is_better: bool
    curves: tuple[DiscardCurve, ...]


def evaluate_edc(
    console: Console,
    pairs: Path,
    embeddings: Path | None,
    scores: Sequence[Path],
    protocol: str = "edc",
    metric: str = "cosine",
    lower_is_better: bool = False,
) -> dict[str, Any]:
    """Print the curves of every file of `scores` on `console`; returns the parts ``comparisons`` and ``edc`` of the
    JSON document.

    `protocol` is one of :mod:`fiqa_benchmarks.discard.curves`, `metric` one of
    :func:`fiqa_benchmarks.discard.comparisons.pair_distances`. `lower_is_better` reverses the scores of all files;
    those of the method named PFE are always reversed, as CR-FIQA's scripts do. Raises InputError for files that cannot
    be used.
    """
    if protocol not in PROTOCOLS:
        raise InputError(f"unknown protocol '{protocol}'; --protocol takes {' or '.join(PROTOCOLS)}")
    if metric not in get_args(Metric):
        raise InputError(f"unknown metric '{metric}'; --metric takes {' or '.join(get_args(Metric))}")
    if embeddings is None:
        raise InputError("--edc needs --embeddings DIR, the folder with a NAME.npy for each image of the pairs")
    if not embeddings.is_dir():
        raise InputError(f"no folder {embeddings}; name the one with a NAME.npy for each image in --embeddings")
    if not scores:
        raise InputError("--edc needs --scores FILE...; write one with fiqa-score --quality-file")
    listed = read_pairs(pairs)
    files = _named(scores, pairs)
    qualities = {name: read_quality(file, listed.names) for name, file in files.items()}
    vectors = read_embeddings(embeddings, listed.names)
    comparisons = Comparisons(listed.pairs, listed.genuine, pair_distances(vectors, listed.pairs, cast(Metric, metric)))
    methods = []
    for name, quality in qualities.items():
        lower = lower_is_better or name in LOWER_IS_BETTER
        methods.append(_Method(name, files[name], lower, PROTOCOLS[protocol](comparisons, quality, lower)))
    for place in range(len(FMRS)):
        console.print(_table(methods, place))
    genuine = int(listed.genuine.sum())
    kinds = f"{genuine} genuine and {len(listed.genuine) - genuine} impostor pairs of {len(listed.names)} images"
    console.print(f"Protocol {protocol}, {metric} distance, {kinds}; low areas are good", highlight=False)
    for note in _notes(methods):
        console.print(f"[yellow]{escape(note)}[/]", highlight=False, soft_wrap=True)
    return {
        "comparisons": {
            "pairs": str(pairs),
            "embeddings": str(embeddings),
            "metric": metric,
            "images": len(listed.names),
            "genuine": genuine,
            "impostor": len(listed.genuine) - genuine,
        },
        "edc": [
            {
                "name": method.name,
                "file": str(method.file),
                "lower_is_better": method.lower_is_better,
                **curve.as_json(),
            }
            for method in methods
            for curve in method.curves
        ],
    }


def _named(files: Sequence[Path], pairs: Path) -> dict[str, Path]:
    """Files by the name of their method, or by path where two would have the same name."""
    distinct = list(dict.fromkeys(files))
    names = [method_name(file, pairs.parent.name) for file in distinct]
    if len(set(names)) < len(names):
        names = list(map(str, distinct))
    return dict(zip(names, distinct, strict=True))


def _table(methods: Sequence[_Method], place: int) -> Table:
    fmr = FMRS[place]
    table = Table(title=f"FNMR at FMR {fmr:g} after discarding", title_justify="left")
    table.add_column("scores", overflow="fold")
    for title in (*(f"{share:.0%}" for share in SHOWN), "AUC", *(f"pAUC {limit:g}" for limit in LIMITS)):
        table.add_column(title, justify="right", no_wrap=True)
    for method in methods:
        curve = method.curves[place]
        rates = (f"{rate:.4f}" for rate in curve.at(SHOWN))
        areas = (f"{area:.6f}" for area in (curve.auc, *(curve.pauc[limit] for limit in LIMITS)))
        table.add_row(escape(method.name), *rates, *areas)
    return table


def _notes(methods: Sequence[_Method]) -> list[str]:
    """The notes, each once; a note that is not about all methods begins with their names."""
    by_text: dict[str, list[str]] = {}
    for method in methods:
        if method.lower_is_better:
            by_text.setdefault("lower scores are taken for better", []).append(method.name)
        for curve in method.curves:
            for note in curve.notes:
                by_text.setdefault(f"FMR {curve.fmr:g}: {note}", []).append(method.name)
    return [text if len(names) == len(methods) else f"{', '.join(names)}: {text}" for text, names in by_text.items()]

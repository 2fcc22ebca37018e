"""The fit to opinions as tables of others: CSV for computing on, LaTeX for a paper."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping

from fiqa_evaluation.opinions.accuracy import STATISTICS, Accuracy, Estimate
from fiqa_evaluation.opinions.evaluate import Opinions

WHOLE = "all"
IN_PAPERS = ("plcc", "srcc", "krcc", "rmse")
"""Statistics that a LaTeX table shows."""
_SPECIAL = {**{each: f"\\{each}" for each in "&%$#_{}"}, "\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
_SPECIAL |= {"^": r"\textasciicircum{}"}


def csv_text(found: Opinions) -> str:
    """A line per group, engine and statistic, with its 95 % interval; empty where it is undefined."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(("group", "images", "engine", "statistic", "value", "low", "high"))
    for group, part in _parts(found).items():
        for engine, row in part.engines.items():
            for key in STATISTICS:
                writer.writerow((group, part.images, engine, key, *map(_digits, _ends(row[key]))))
    return stream.getvalue()


def latex_text(found: Opinions) -> str:
    """A `tabular` for the package booktabs: a line per engine, a block per group."""
    lines = [f"\\begin{{tabular}}{{l{'r' * len(IN_PAPERS)}}}", "\\toprule"]
    lines.append(" & ".join(("", *(STATISTICS[key] for key in IN_PAPERS))) + r" \\")
    for group, part in _parts(found).items():
        title = "All" if group == WHOLE else f"{found.column} {group}"
        lines.append("\\midrule")
        lines.append(f"\\multicolumn{{{len(IN_PAPERS) + 1}}}{{l}}{{{_escaped(title)} ({part.images} images)}} \\\\")
        for engine, row in part.engines.items():
            cells = ("--" if math.isnan(row[key].value) else f"{row[key].value:.4f}" for key in IN_PAPERS)
            lines.append(" & ".join((_escaped(engine), *cells)) + r" \\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def _parts(found: Opinions) -> Mapping[str, Accuracy]:
    return {WHOLE: found.whole, **found.groups}


def _ends(estimate: Estimate) -> tuple[float, float, float]:
    return estimate.value, estimate.low, estimate.high


def _digits(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.6f}"


def _escaped(text: str) -> str:
    return "".join(_SPECIAL.get(each, each) for each in text)

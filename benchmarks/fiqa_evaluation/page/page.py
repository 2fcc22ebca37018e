"""Writes everything that an evaluation found to one HTML file, which needs no network and no script."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fiqa_benchmarks.report.page import check_installed, plain
from fiqa_runtime.errors import InputError
from fiqa_runtime.system.files import write_text

from fiqa_evaluation.page.findings import findings
from fiqa_evaluation.page.warnings import warnings

TEMPLATE = "page.html.jinja"
PARTS = ("discard", "distributions", "opinions", "faces", "precision", "detectors", "overview", "could_not")
"""Lists of the document; each may be absent."""

REPRODUCED = (
    "The published code of CR-FIQA gives the same error rates, thresholds and areas, to 1e-12, on made-up embeddings "
    "and qualities. Its own output on published data was not at hand.",
    "No figure of a paper was reproduced, for want of data: LFW, XQLFW, Adience, IJB-C, CGFIQA-40k and published "
    "recognisers were not at hand when fiqa-eval was made. So no number here has been held against a published one.",
    "Before you put a number beside one of a paper, compare the definitions: protocol, recogniser, limit of the area, "
    "and how faces were found and cut.",
)
"""What a reader may take a number of fiqa-eval for: whether it has ever met a published one."""


def write_page(document: Mapping[str, Any], path: Path) -> None:
    """Write what was found as one HTML page to `path`.

    `document` holds a `title` and any of :data:`PARTS`, in the form in which the subcommands and ``fiqa-eval run``
    write them, `warnings`, `machine` and `versions`. Raises InputError where there is nothing to show or `path` cannot
    be written, DependencyError where Matplotlib or Jinja is not installed.
    """
    if not any(document.get(part) for part in ("discard", "distributions", "opinions")):
        raise InputError("there is nothing to show; evaluate at least one data set")
    write_text(path, page(document))


def page(document: Mapping[str, Any]) -> str:
    """The HTML of :func:`write_page`."""
    check_installed()
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    from fiqa_evaluation.page.plots import discard_plots, distribution_plots, opinion_plots

    loaders = [PackageLoader("fiqa_evaluation.page", "."), PackageLoader("fiqa_benchmarks.report", ".")]
    environment = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    filled = {**dict.fromkeys(PARTS, ()), "machine": None, "versions": None, "plan": None, **document}
    return environment.get_template(TEMPLATE).render(
        document=filled,
        findings=findings(document),
        warnings=warnings(document),
        reproduced=REPRODUCED,
        discard=list(zip(filled["discard"], discard_plots(filled["discard"]), strict=True)),
        differences=[_differences(part) for part in filled["discard"]],
        spreads=distribution_plots(filled["distributions"]),
        contrasts=[row for part in filled["distributions"] for row in _contrasts(part)],
        opinions=[
            (part, drawn, opinion_rows(part))
            for part, drawn in zip(filled["opinions"], opinion_plots(filled["opinions"]), strict=True)
        ],
        written=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
    )


def opinion_rows(part: Mapping[str, Any]) -> list[dict[str, str]]:
    """A row per engine, then one per difference to the first engine, then those of each group, as text by title."""
    first = next(iter(part["engines"]))
    differences = {f"{name} minus {first}": row for name, row in part["differences"].items()}
    rows = [("all", part["images"], name, row) for name, row in {**part["engines"], **differences}.items()]
    for group, inner in part.get("groups", {}).items():
        rows += [(f"{part['column']} {group}", inner["images"], name, row) for name, row in inner["engines"].items()]
    return [
        {
            "engine": name,
            "group": group,
            "images": str(images),
            **{statistic.replace("_", " ").upper(): _estimate(e) for statistic, e in row.items()},
        }
        for group, images, name, row in rows
    ]


def _differences(part: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "first minus second": f"{row['first']} minus {row['second']}",
            "start": row["start"],
            "area to": f"{row['limit']:g}",
            "difference": _estimate(row, "+.6f"),
            "verdict": row["verdict"],
        }
        for row in part.get("differences", ())
    ]


def _contrasts(part: Mapping[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "sets": f"{row['first']} against {row['second']}",
            "method": part["method"],
            "KS distance": f"{row['distance']:.4f}",
            "p": f"{row['p']:.2g}",
            "first better": f"{row['superiority']:.3f}",
            "overlap": f"{row['overlap']:.3f}",
        }
        for row in part["contrasts"]
    ]


def _estimate(estimate: Mapping[str, Any], form: str = ".4f") -> str:
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    if value is None:
        return "–"
    return f"{value:{form}}" if low is None or high is None else f"{value:{form}} [{low:{form}}, {high:{form}}]"

"""Draws curves with their bands, distributions and opinions as SVG for the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fiqa_benchmarks.report.svg import (
    HEIGHT,
    Plot,
    figure,
    inline_svg,
    label,
    legend_below,
    look,
    nested,
    style,
)
from fiqa_runtime.system.spread import evenly
from matplotlib.axes import Axes

from fiqa_evaluation.page.findings import start_of

Document = Mapping[str, Any]
MOST_POINTS = 800
"""Most images that a plot of opinions shows."""
MOST_ROWS = 100


def discard_plots(parts: Sequence[Document]) -> list[list[Plot]]:
    """For each part a plot per starting error, then those of false matches and of DET curves, where there are any."""
    drawn = []
    with style():
        for number, part in enumerate(parts):
            starts = list(dict.fromkeys(map(start_of, part["edc"])))
            by_start = [[row for row in part["edc"] if start_of(row) == start] for start in starts]
            plots = [_fnmr(f"edc{number}-{place}", rows) for place, rows in enumerate(by_start)]
            plots += [
                _fmr(f"fmr{number}-{place}", rows)
                for place, rows in enumerate(by_start)
                if all("false_match" in row for row in rows)
            ]
            if part.get("det"):
                names = list(dict.fromkeys(row["name"] for row in part["det"]))
                plots += [
                    _det(f"det{number}-{place}", name, [row for row in part["det"] if row["name"] == name])
                    for place, name in enumerate(names)
                ]
            drawn.append(plots)
    return drawn


def draw_curves(axes: Axes, rows: Sequence[Document], error: str = "fnmr", points: bool = True) -> None:
    """Every method's error over the discarded fraction, with its band where there is one."""
    for index, row in enumerate(rows):
        source = row if error == "fnmr" else row["false_match"]
        errors = _floats(source[error])
        drawing: Any = "steps-post" if row["protocol"] == "edc" else "default"
        lines = axes.plot(
            source["discard"],
            errors,
            drawstyle=drawing,
            markevery=4 if points else [],
            label=label(row["name"]),
            **look(index),
            **nested(index, 6),
        )
        if error == "fnmr" and "low" in row:
            step: Any = "post" if row["protocol"] == "edc" else None
            low, high = _floats(row["low"]), _floats(row["high"])
            axes.fill_between(row["discard"], low, high, step=step, color=lines[0].get_color(), alpha=0.15, linewidth=0)
    axes.margins(y=0.1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("discarded fraction")
    axes.set_ylabel(error.upper())


def _fnmr(key: str, rows: Sequence[Document]) -> Plot:
    page = figure(len(rows))
    axes = page.subplots()
    draw_curves(axes, rows)
    legend_below(page, axes)
    start, protocol = start_of(rows[0]), rows[0]["protocol"]
    areas = "; ".join(f"{row['name']} {_cell(row['auc'], '.4g')}" for row in rows)
    columns = [[_band(row, place) for place in range(len(row["fnmr"]))] for row in rows]
    table = [(f"{share:.2f}", *cells) for share, *cells in zip(rows[0]["discard"], *columns, strict=True)]
    table.append(("area under the curve", *(_cell(row["auc"], ".6f") for row in rows)))
    for limit in rows[0]["pauc"]:
        table.append((f"area to {limit}", *(_cell(row["pauc"][limit], ".6f") for row in rows)))
    notes = ["FNMR: share of genuine pairs that no longer match. A good quality score makes it fall early."]
    notes += ["Shaded: 95 % intervals, from draws of persons."] * any("low" in row for row in rows)
    notes += ["Drawn and listed at 20 fractions; the areas are those of the whole curve."] * (protocol == "edc")
    said: dict[str, list[str]] = {}
    for row in rows:
        for note in row.get("notes", ()):
            said.setdefault(note, []).append(row["name"])
    return Plot(
        key,
        f"Error versus discard at {start} ({protocol})",
        f"False non-match rate over the discarded fraction at {start}; areas: {areas}.",
        inline_svg(page, key),
        ("discarded", *(row["name"] for row in rows)),
        table,
        (*notes, *(note if len(of) == len(rows) else f"{', '.join(of)}: {note}" for note, of in said.items())),
    )


def _fmr(key: str, rows: Sequence[Document]) -> Plot:
    page = figure(len(rows))
    axes = page.subplots()
    draw_curves(axes, rows, "fmr")
    legend_below(page, axes)
    start = start_of(rows[0])
    found = [row["false_match"] for row in rows]
    columns = [[_cell(value, ".2e") for value in each["fmr"]] for each in found]
    return Plot(
        key,
        f"False matches versus discard, threshold of {start}",
        f"False match rate over the discarded fraction of impostor pairs for {', '.join(row['name'] for row in rows)}.",
        inline_svg(page, key),
        ("discarded", *(row["name"] for row in rows)),
        [(f"{share:.2f}", *cells) for share, *cells in zip(found[0]["discard"], *columns, strict=True)],
        ("FMR: share of the impostor pairs left that match at the threshold, which stays where it was at the start.",),
    )


def _det(key: str, name: str, curves: Sequence[Document]) -> Plot:
    page = figure(len(curves))
    axes = page.subplots()
    for index, curve in enumerate(curves):
        rates = _floats(curve["fnmr"])
        appearance = {**look(index), **nested(index, 5)}
        axes.plot(curve["fmr"], rates, label=f"{curve['discarded']:.0%} discarded", **appearance)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("FMR")
    axes.set_ylabel("FNMR")
    legend_below(page, axes)
    columns = [[_cell(value, ".4f") for value in curve["fnmr"]] for curve in curves]
    return Plot(
        key,
        f"DET versus discard: {name}",
        f"False non-match rate over false match rate after discarding by {name}.",
        inline_svg(page, key),
        ("FMR", *(f"{curve['discarded']:.0%} discarded" for curve in curves)),
        [(f"{rate:.1e}", *cells) for rate, *cells in zip(curves[0]["fmr"], *columns, strict=True)],
        ("Pairs of both kinds are discarded; thresholds are those of the pairs that are left.",),
    )


def distribution_plots(parts: Sequence[Document]) -> list[Plot]:
    """One plot per method: the share of each set's images over the score."""
    with style():
        return [_distribution(f"spread{number}", part) for number, part in enumerate(parts)]


def draw_distribution(axes: Axes, part: Document) -> None:
    """The share of each set's images in each bin."""
    for index, (name, shares) in enumerate(part["shares"].items()):
        appearance = look(index)
        axes.stairs(shares, part["edges"], label=label(name), color=appearance["color"], linewidth=1.8)
        axes.stairs(shares, part["edges"], fill=True, color=appearance["color"], alpha=0.12)
    axes.set_xlabel("quality")
    axes.set_ylabel("share of images")


def _distribution(key: str, part: Document) -> Plot:
    page = figure(len(part["shares"]))
    axes = page.subplots()
    draw_distribution(axes, part)
    legend_below(page, axes)
    rows = []
    for name, spread in part["sets"].items():
        cells = (spread["mean"], *spread["quantiles"].values())
        rows.append((name, str(spread["images"]), *(f"{value:.4f}" for value in cells)))
    shares = next(iter(part["sets"].values()))["quantiles"]
    return Plot(
        key,
        f"Qualities by {part['method']}",
        f"Share of images over the score by {part['method']} for {', '.join(part['sets'])}.",
        inline_svg(page, key),
        ("set", "images", "mean", *(f"{float(share):.0%}" for share in shares)),
        rows,
        ("Scores of two networks are never on one scale; sets are compared within one.",),
    )


def opinion_plots(parts: Sequence[Document]) -> list[list[Plot]]:
    """For each part a plot per engine: scores against opinions."""
    with style():
        return [
            [
                _opinion(f"mos{number}-{place}", part, name)
                for place, name in enumerate(part["engines"])
                if len(part["scores"]) > 1
            ]
            for number, part in enumerate(parts)
        ]


def _opinion(key: str, part: Document, name: str) -> Plot:
    mos = np.array([row["mos"] for row in part["scores"]])
    scores = np.array([row["engines"][name] for row in part["scores"]])
    page = figure(0, HEIGHT + 0.4)
    axes = page.subplots()
    shown = evenly(MOST_POINTS, mos.size)
    axes.plot(mos[shown], scores[shown], **{**look(0), "linestyle": "none", "markersize": 3.5})
    axes.set_xlabel("opinion score")
    axes.set_ylabel("score")
    listed = evenly(MOST_ROWS, mos.size)
    paths = [part["scores"][place]["path"] for place in listed]
    notes = (f"Drawn: {MOST_POINTS} images at most, evenly chosen.",) if mos.size > MOST_POINTS else ()
    return Plot(
        key,
        f"Opinions: {name}",
        f"Scores of {mos.size} images by {name} over their mean opinion scores.",
        inline_svg(page, key),
        ("image", "opinion score", "score"),
        [(path, f"{mos[i]:.4f}", f"{scores[i]:.5f}") for path, i in zip(paths, listed, strict=True)],
        notes,
    )


def _floats(values: Sequence[float | None]) -> list[float]:
    return [math.nan if value is None else value for value in values]


def _band(row: Document, place: int) -> str:
    value = _cell(row["fnmr"][place], ".4f")
    if "low" not in row or row["low"][place] is None:
        return value
    return f"{value} [{row['low'][place]:.4f}, {row['high'][place]:.4f}]"


def _cell(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)

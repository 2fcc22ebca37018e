"""Draws scores: engine against engine, and down the degradation ladders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fiqa_runtime.scoring.agreement import rejection_threshold
from fiqa_runtime.system.spread import evenly
from matplotlib.ticker import FixedLocator
from numpy.typing import NDArray

from fiqa_benchmarks.report.sections import SHARE
from fiqa_benchmarks.report.svg import (
    HEIGHT,
    INK,
    LONGEST_AT_THE_SIDE,
    Plot,
    figure,
    inline_svg,
    label,
    legend_below,
    look,
    nested,
)

Document = Mapping[str, Any]

MOST_POINTS = 500
"""Most images of each kind, with the same and with a changed decision, that a scatter plot shows."""
MOST_ROWS = 100
"""Most rows of a scatter plot's table: images with a changed decision first, then those that moved most."""


def scatter_plots(scores: Document | None) -> list[Plot]:
    """A plot for each other engine: its scores against those of the first."""
    if not scores or len(scores["engines"]) < 2:
        return []
    (first, reference), *others = scores["engines"].items()
    x = np.asarray(reference, np.float64)
    if x.size < 2:
        return []
    return [
        _scatter(f"scatter{index}", scores["images"], first, x, name, np.asarray(values, np.float64))
        for index, (name, values) in enumerate(others)
    ]


def _scatter(
    key: str,
    images: Sequence[str],
    first: str,
    x: NDArray[np.float64],
    other: str,
    y: NDArray[np.float64],
) -> Plot:
    threshold = rejection_threshold(x, SHARE)
    flipped = (x >= threshold) != (y >= threshold)
    kept, changed = np.flatnonzero(~flipped), np.flatnonzero(flipped)
    page = figure(4, HEIGHT + 1.6)
    axes, lower = page.subplots(2, sharex=True, height_ratios=(2, 1))
    ends = [min(x.min(), y.min()), max(x.max(), y.max())]
    axes.plot(ends, ends, color=INK, linewidth=0.8, label="equal scores")
    lower.axhline(0, color=INK, linewidth=0.8)
    for panel in (axes, lower):
        panel.axvline(threshold, color=INK, linewidth=0.8, linestyle=":", label=f"threshold {threshold:.4g}")
    axes.axhline(threshold, color=INK, linewidth=0.8, linestyle=":")
    for group, name, appearance in (
        (kept, "same decision", {**look(0), "markersize": 3.5}),
        (changed, "decision flips", {**look(6), "markersize": 8}),
    ):
        shown = group[evenly(MOST_POINTS, group.size)]
        appearance["linestyle"] = "none"
        axes.plot(x[shown], y[shown], label=f"{name} ({group.size})", **appearance)
        lower.plot(x[shown], (y - x)[shown], **appearance)
    axes.set_ylabel(f"score,\n{label(other, LONGEST_AT_THE_SIDE)}")
    lower.set_ylabel("difference")
    lower.set_xlabel(f"score, {label(first)}")
    legend_below(page, axes)
    moved = np.abs(y - x)
    listed = np.lexsort((-moved, ~flipped))[:MOST_ROWS]
    notes = [f"The threshold rejects {100 * SHARE:g} % of the images by the scores of {first}."]
    notes += [f"Drawn: {MOST_POINTS} of each kind at most, evenly chosen."] * (
        max(kept.size, changed.size) > MOST_POINTS
    )
    notes += [f"Table: the {MOST_ROWS} that flip or moved most."] * (x.size > MOST_ROWS)
    return Plot(
        key,
        f"Scores: {other}",
        f"Scores of {x.size} images by {first} and {other}: largest difference {moved.max():.3g}, "
        f"{changed.size} decisions flip at {100 * SHARE:g} % rejection.",
        inline_svg(page, key),
        ("image", first, other, "difference", "decision"),
        [
            (images[i], f"{x[i]:.5f}", f"{y[i]:.5f}", f"{y[i] - x[i]:+.2g}", "flips" if flipped[i] else "same")
            for i in listed
        ],
        tuple(notes),
    )


def ladder_plot(section: Document) -> Plot:
    """One panel per degradation, one line per engine; `section` as :mod:`fiqa_benchmarks.report.ladders` makes it."""
    ladders: Mapping[str, Mapping[str, Sequence[float]]] = section["engines"]
    kinds = list(dict.fromkeys(kind for by_kind in ladders.values() for kind in by_kind))
    strengths = max(len(means) for by_kind in ladders.values() for means in by_kind.values())
    lines = math.ceil(len(kinds) / 2)
    page = figure(len(ladders), 0.3 + 1.5 * lines)
    panels = np.atleast_1d(page.subplots(lines, 2, sharex=True, sharey=True)).reshape(-1)
    rows = []
    for panel, kind in zip(panels, kinds, strict=False):
        panel.set_title(kind)
        for index, (name, by_kind) in enumerate(ladders.items()):
            means = by_kind.get(kind, [])
            panel.plot(range(len(means)), means, label=label(name), **look(index), **nested(index, 4))
            cells = [f"{mean:.4f}" for mean in means] + ["–"] * (strengths - len(means))
            rows.append((kind, name, *cells))
    for panel in panels[len(kinds) :]:
        panel.set_axis_off()
    panels[0].xaxis.set_major_locator(FixedLocator(range(strengths)))
    for panel in panels[: len(kinds)][-2:]:
        panel.set_xlabel("strength, 0: untouched")
        panel.tick_params(labelbottom=True)
    for panel in panels[::2]:
        panel.set_ylabel("mean score")
    legend_below(page, panels[0])
    return Plot(
        "ladders",
        "Degradation ladders",
        f"Mean score over {strengths - 1} strengths of {', '.join(kinds)} for {', '.join(ladders)}.",
        inline_svg(page, "ladders"),
        ("degradation", "engine", *(f"strength {strength}" for strength in range(strengths))),
        rows,
        (
            f"Mean scores of {section['faces']} faces, degraded in steps of about equal visibility. "
            "Lower is worse: each ladder should fall, and fall alike for every engine.",
        ),
    )

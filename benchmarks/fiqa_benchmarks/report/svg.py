"""Turns Matplotlib figures into inline SVG that takes its colours and fonts from the page around it."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

WIDTH = 4.7
"""Width in inches: so narrow that the text can still be read when a phone shows the plot 330 pixels wide."""
HEIGHT = 2.9
LEGEND_LINE = 0.2
LONGEST_LABEL = 44
LONGEST_AT_THE_SIDE = 24
"""Most letters that fit along a vertical axis."""
SERIES = 8
"""Number of colours of the page, ``--series-0`` and so on. With the markers they make 56 looks, which differ without
colour too."""
INK, GRID, PAPER = "#0000f0", "#0000f1", "#0000f2"
_SERIES = [f"#0000e{index}" for index in range(SERIES)]
_ON_THE_PAGE = {
    INK: "currentColor",
    GRID: "var(--grid)",
    PAPER: "var(--paper)",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(_SERIES)},
}
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
_SETTINGS = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10,
    "font.sans-serif": ["DejaVu Sans", "Verdana"],
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.titlesize": 10,
    "lines.linewidth": 1.6,
    "lines.markersize": 6,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
}
_NO_METADATA: Any = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(frozen=True)
class Plot:
    """One drawing, with everything that replaces it where it cannot be seen."""

    name: str
    """Prefix of every id in the drawing; unique on the page."""
    title: str
    summary: str
    """What the drawing shows, in one sentence: its accessible name."""
    svg: str
    """``<svg>`` element; colours are ``currentColor`` and the custom properties ``--series-N --grid --paper``."""
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    """The same numbers as a table."""
    notes: tuple[str, ...] = ()
    """How to read it, and what a reader must know before believing it."""


@contextmanager
def style() -> Iterator[None]:
    """The style of every plot; everything has to be drawn inside."""
    with matplotlib.rc_context(_SETTINGS):  # type: ignore[arg-type]
        yield


def figure(legend_lines: int = 0, height: float = HEIGHT) -> Figure:
    """An empty figure with room for `legend_lines` below the axes."""
    return Figure(figsize=(WIDTH, height + LEGEND_LINE * legend_lines), layout="constrained")


def look(index: int) -> dict[str, Any]:
    """Colour, marker and dashes of series `index`, as arguments of :meth:`Axes.plot`."""
    return {
        "color": _SERIES[index % SERIES],
        "marker": _MARKERS[index % len(_MARKERS)],
        "linestyle": _DASHES[index % len(_DASHES)],
    }


def nested(index: int, markersize: float) -> dict[str, Any]:
    """Sizes for series that may cover each other: the first is the largest, so that it shows below the others."""
    return {"linewidth": max(3.2 - 0.6 * index, 0.8), "markersize": max(markersize * (1.5 - 0.2 * index), 3)}


def legend_below(page: Figure, axes: Axes) -> None:
    """One legend under the axes, an entry per line."""
    handles, labels = axes.get_legend_handles_labels()
    page.legend(handles, labels, loc="outside lower left", ncols=1)


def label(name: str, longest: int = LONGEST_LABEL) -> str:
    """`name` short enough for a legend; Matplotlib hides labels that begin with an underscore, not this one."""
    if len(name) > longest:
        half = longest // 2
        name = f"{name[: half - 1]}…{name[-half:]}"
    return f"\u200a{name}" if name.startswith("_") else name


def inline_svg(page: Figure, name: str) -> str:
    """`page` as an ``<svg>`` element whose ids begin with `name` and whose size the surrounding page decides."""
    stream = io.StringIO()
    page.savefig(stream, format="svg", transparent=True, metadata=_NO_METADATA)
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*" height="[^"]*"', r"\1", svg, count=1)
    return re.sub(r">\s+<", "><", re.sub(r"<[^>]*>", lambda tag: _for_the_page(tag[0], name), svg))


def _for_the_page(tag: str, name: str) -> str:
    """A tag with ids of its own, the page's colours, and coordinates to a hundredth of a point."""
    for end in (' id="', 'href="#', "url(#"):
        tag = tag.replace(end, f"{end}{name}-")
    for colour, variable in _ON_THE_PAGE.items():
        tag = tag.replace(colour, variable)
    return re.sub(r"\s+", " ", re.sub(r"(\d\.\d\d)\d+", r"\1", tag))

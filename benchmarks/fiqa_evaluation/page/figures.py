"""Figures for a paper: the same curves and distributions as on the page, in a file of Matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fiqa_runtime.errors import DependencyError
from fiqa_runtime.system.files import replacing

SIDE = 3.4
"""Width of a panel in inches: that of a column."""
COLOURS = ("#0b62b8", "#b34700", "#00785a", "#8e3fa8", "#846800", "#006d8f", "#c1121f", "#4d4d4d")


def write_figure(document: Mapping[str, Any], path: Path) -> None:
    """Write a panel per starting error, or per method of distributions, side by side, to a .pdf, .svg or .png.

    Raises DependencyError where Matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError("--figure needs matplotlib; pip install 'fiqa-edge[bench]'") from error
    from fiqa_evaluation.page.findings import start_of
    from fiqa_evaluation.page.plots import draw_curves, draw_distribution

    panels: list[tuple[str, Any, Any]] = []
    for part in document.get("discard", ()):
        for start in dict.fromkeys(map(start_of, part["edc"])):
            rows = [row for row in part["edc"] if start_of(row) == start]
            title = f"{part['title']} {start}" if part.get("title") else start
            panels.append((title, draw_curves, rows))
    panels += [(part["method"], draw_distribution, part) for part in document.get("distributions", ())]
    with matplotlib.rc_context({"pdf.fonttype": 42, "svg.fonttype": "none", "font.size": 9}):
        page = Figure(figsize=(SIDE * len(panels), 3), layout="constrained")
        for axes, (title, draw, content) in zip(page.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            draw(axes, content)
            axes.set_title(title)
            _recolour(axes)
            axes.legend(frameon=False, fontsize=7)
        with replacing(path) as target:
            page.savefig(target, format=path.suffix.lower().removeprefix("."), dpi=300)


def _recolour(axes: Any) -> None:
    """Give what was drawn in the page's placeholders for colours the colours of the light page."""
    for artist in (*axes.lines, *axes.collections, *axes.patches):
        own = artist.get_facecolor() if hasattr(artist, "get_facecolor") else artist.get_color()
        index = _series(own)
        if index is None:
            continue
        artist.set_color(COLOURS[index])


def _series(colour: Any) -> int | None:
    """The number of the series whose placeholder `colour` is; None for another colour."""
    from matplotlib.colors import to_hex

    first = colour[0] if hasattr(colour, "ndim") and colour.ndim == 2 and len(colour) else colour
    text = to_hex(first)
    return int(text[-1], 16) if text.startswith("#0000e") and int(text[-1], 16) < len(COLOURS) else None

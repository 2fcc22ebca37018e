"""Draws the mixtures that the search tried: how much of each is int8, and how good it is."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

from fiqa_calibration.mixture_search import EvaluatedMixture, SearchResult
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.system.files import write_bytes


def draw_pareto(result: SearchResult, path: Path, title: str = "") -> None:
    """Draw the mixtures of `result` to `path` (PNG or SVG, by its suffix) and mark the chosen one.

    The horizontal axis is the share of multiply-accumulates left in float32, 1 - `mac_share`; the colour is the size of
    the file, `bytes`. Raises InputError for another suffix or a folder that cannot be written, DependencyError without
    matplotlib.
    """
    if path.suffix not in (".png", ".svg"):
        raise InputError(f"cannot draw {path.name}; name a .png or .svg file")
    figure, axes = _axes()
    sizes = _megabytes(result.mixtures)
    style = {"vmin": min(sizes), "vmax": max(sizes), "cmap": "viridis_r", "zorder": 2}
    for passed, marker, label in ((True, "o", "within the budget"), (False, "X", "outside")):
        mixtures = [mixture for mixture in result.mixtures if mixture.passed == passed]
        if mixtures:
            dots = axes.scatter(*_columns(mixtures), c=_megabytes(mixtures), marker=marker, label=label, **style)
    axes.plot(*_columns(result.pareto), color="0.7", zorder=1, label="best for its speed")
    axes.scatter(*_columns([result.chosen]), s=160, facecolors="none", edgecolors="tab:red", label="chosen")
    figure.colorbar(dots, label="MB", format="%.4g")
    axes.set(xlabel="multiply-accumulates left in fp32 (%)", title=title)
    axes.set_ylabel("agreement with fp32 (SRCC or correlation)")
    axes.ticklabel_format(useOffset=False)
    axes.legend()
    drawn = BytesIO()
    figure.savefig(drawn, format=path.suffix[1:])
    write_bytes(path, drawn.getvalue())


def _megabytes(mixtures: Iterable[EvaluatedMixture]) -> list[float]:
    return [mixture.judged.facts["bytes"] / 1e6 for mixture in mixtures]


def _columns(mixtures: Iterable[EvaluatedMixture]) -> tuple[list[float], list[float]]:
    """Per cent of the multiply-accumulates that are left in float32, and the quality, of each mixture."""
    places = [(100 * (1 - mixture.judged.facts["mac_share"]), mixture.judged.quality) for mixture in mixtures]
    return [x for x, _ in places], [y for _, y in places]


def _axes() -> tuple[Any, Any]:
    """A figure outside pyplot's state, so that it need not be closed and needs no window system."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError("matplotlib is not installed; pip install 'fiqa-edge[export]'") from error
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    return figure, figure.add_subplot()

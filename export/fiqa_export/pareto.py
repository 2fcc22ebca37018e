"""A picture of the mixtures of precisions that the search tried: how small against how good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fiqa_calibration.sensitivity import SearchResult
from fiqa_runtime.errors import DependencyError, InputError


def draw_pareto(result: SearchResult, path: Path, title: str = "") -> None:
    """Draw the trials of `result` to `path` (PNG or SVG, by its suffix): size against quality, the chosen one marked.

    The size is `bytes` of each trial's facts, the colour how much of the convolutions is int8. Raises InputError for
    another suffix or a folder that cannot be written, DependencyError without matplotlib.
    """
    if path.suffix not in (".png", ".svg"):
        raise InputError(f"cannot draw {path.name}; name a .png or .svg file")
    figure, axes = _axes()
    trials = [trial for trial in result.trials if trial.judged.quality == trial.judged.quality]
    sizes = [trial.judged.facts["bytes"] / 1e6 for trial in trials]
    shares = [100 * trial.judged.facts["mac_share"] for trial in trials]
    dots = axes.scatter(sizes, [t.judged.quality for t in trials], c=shares, vmin=0, vmax=100, cmap="viridis", zorder=2)
    front = sorted((t.judged.facts["bytes"] / 1e6, t.judged.quality) for t in result.pareto)
    axes.plot(*zip(*front, strict=True), color="0.7", linewidth=1, zorder=1, label="none cheaper and better")
    chosen = result.chosen.judged
    axes.scatter(
        [chosen.facts["bytes"] / 1e6],
        [chosen.quality],
        marker="o",
        s=160,
        facecolors="none",
        edgecolors="tab:red",
        label="chosen",
    )
    figure.colorbar(dots, label="multiply-accumulates in int8 (%)")
    axes.set(xlabel="MB", ylabel="agreement with fp32 (SRCC or correlation)", title=title)
    axes.ticklabel_format(useOffset=False)
    axes.legend()
    try:
        figure.savefig(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; choose a folder you may write to") from error


def _axes() -> tuple[Any, Any]:
    """A figure of its own, outside pyplot's state: nothing to close, no window system needed."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DependencyError("matplotlib is not installed; pip install 'fiqa-edge[export]'") from error
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    return figure, figure.add_subplot()

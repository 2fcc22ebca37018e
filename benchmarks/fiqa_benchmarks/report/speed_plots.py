"""Draws speed and size from the JSON document of ``fiqa-bench``; :func:`plots` draws all plots of the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from fiqa_benchmarks.report.score_plots import ladder_plot, scatter_plots
from fiqa_benchmarks.report.svg import (
    INK,
    PAPER,
    Plot,
    figure,
    inline_svg,
    label,
    legend_below,
    look,
    nested,
    style,
)
from fiqa_benchmarks.speed.bench import END_TO_END, NETWORK

Document = Mapping[str, Any]

WIDE_RANGE = 8
"""An axis is logarithmic where its largest value is more than this many times the smallest."""
SMALLEST_LOSS = 0.01
"""Loss of rank correlation that the axis spans where no contender loses any."""


def plots(document: Document) -> list[Plot]:
    """Every plot for which `document` has the section, in the order of the page."""
    with style():
        drawn = [_latency(document), _throughput(document), _pareto(document)]
        drawn += scatter_plots(document.get("scores"))
        drawn += [ladder_plot(document["ladders"])] if document.get("ladders") else []
    return [plot for plot in drawn if plot]


def _latency(document: Document) -> Plot | None:
    """Median time over batch size, with a line up to the 95th percentile."""
    series = _speeds(document)
    if not series:
        return None
    page = figure(len(series))
    axes = page.subplots()
    rows, medians, slowest = [], [], []
    for index, (name, batches) in enumerate(series):
        steps = [batch[NETWORK] for batch in batches.values()]
        middle = [step["median_ms"] for step in steps]
        above = [max(step["p95_ms"] - step["median_ms"], 0) for step in steps]
        places = [place * (1 + 0.02 * index) for place in batches]
        axes.errorbar(places, middle, yerr=[[0] * len(above), above], capsize=3, label=label(name), **look(index))
        medians += middle
        slowest += [step["p95_ms"] for step in steps]
        rows += [(name, str(size), *_speed_cells(batch)) for size, batch in batches.items()]
    _batch_axis(axes, series)
    _positive_axis(axes, medians + slowest)
    axes.set_ylabel("milliseconds per call")
    legend_below(page, axes)
    return Plot(
        "latency",
        "Latency over batch size",
        f"Milliseconds per call of the network alone for {_contenders(series)}, {_extent(medians, 'ms')}.",
        inline_svg(page, "latency"),
        ("contender", "batch", "network median ms", "p95 ms", "from crops median ms", "p95 ms"),
        rows,
        ("The network alone, on a prepared tensor. Marker: median; the line above it ends at the 95th percentile.",),
    )


def _throughput(document: Document) -> Plot | None:
    series = _speeds(document)
    if not series:
        return None
    page = figure(len(series))
    axes = page.subplots()
    rows, rates = [], []
    for index, (name, batches) in enumerate(series):
        per_second = [batch[END_TO_END]["images_per_second"] for batch in batches.values()]
        axes.plot(list(batches), per_second, label=label(name), **look(index))
        rates += per_second
        rows += [(name, str(size), f"{rate:.1f}") for size, rate in zip(batches, per_second, strict=True)]
    _batch_axis(axes, series)
    _positive_axis(axes, rates)
    axes.set_ylabel("images per second")
    legend_below(page, axes)
    return Plot(
        "throughput",
        "Throughput over batch size",
        f"Images per second from crops to scores for {_contenders(series)}, {_extent(rates, 'images per second')}.",
        inline_svg(page, "throughput"),
        ("contender", "batch", "images per second"),
        rows,
        ("From uint8 crops to scores, preprocessing included, at the median time.",),
    )


def _pareto(document: Document) -> Plot | None:
    """File size against rank agreement with the first contender. A contender is on the front if no other is better in
    both."""
    points = list(_sizes(document))
    if len(points) < 2:
        return None
    first = points[0][0]
    front = [not any(_beats(other, point) for other in points) for point in points]
    page = figure(len(points) + 1)
    axes = page.subplots()
    for index, ((name, size, srcc), undominated) in enumerate(zip(points, front, strict=True)):
        appearance = look(index) | {"linestyle": "none"}
        filling = appearance["color"] if undominated else PAPER
        axes.plot([size], [srcc], markerfacecolor=filling, label=label(name), **appearance, **nested(index, 9))
    corners = sorted((size, srcc) for (_, size, srcc), on in zip(points, front, strict=True) if on)
    axes.step(*zip(*corners, strict=True), where="post", color=INK, linewidth=1, linestyle=":", label="front", zorder=1)
    if _wide([size for _, size, _ in points]):
        axes.set_xscale("log")
        _plain_numbers(axes.xaxis)
    axes.margins(x=0.12)
    extent = 1 - min(srcc for _, _, srcc in points) or SMALLEST_LOSS
    axes.set_ylim(1 - 1.12 * extent, 1 + 0.12 * extent)
    axes.set_yticks([tick for tick in axes.get_yticks() if 1 - 1.12 * extent <= tick <= 1])
    axes.set_xlabel("file size, MB")
    axes.set_ylabel("SRCC to the first")
    legend_below(page, axes)
    return Plot(
        "pareto",
        "Size against rank agreement",
        f"File size against Spearman correlation with {first} for {len(points)} contenders; on the front: "
        f"{', '.join(name for (name, _, _), on in zip(points, front, strict=True) if on)}.",
        inline_svg(page, "pareto"),
        ("contender", "file MB", "SRCC", "on the front"),
        [
            (name, f"{size:.2f}", f"{srcc:.6f}", "yes" if on else "no")
            for (name, size, srcc), on in zip(points, front, strict=True)
        ],
        (
            f"SRCC: Spearman's rank correlation with the scores of {first} on the benchmark's images. "
            "Filled: no other contender is both smaller and closer; hollow: one is.",
        ),
    )


def _speeds(document: Document) -> list[tuple[str, dict[int, Any]]]:
    """Name and results by batch size of each contender that ran."""
    ran = (c for c in document["contenders"] if c.get("batches"))
    return [(c["name"], {int(size): c["batches"][size] for size in sorted(c["batches"], key=int)}) for c in ran]


def _sizes(document: Document) -> Iterator[tuple[str, float, float]]:
    """Name, MB and SRCC to the first of each contender with both; the first agrees with itself."""
    for index, contender in enumerate(document["contenders"]):
        if not contender.get("file_bytes") or not contender.get("batches"):
            continue
        difference = next(iter(contender["batches"].values()))["difference"]
        score = difference and difference["score"]
        srcc = 1.0 if index == 0 else score and score["srcc"]
        if srcc is not None:
            yield contender["name"], contender["file_bytes"] / 1e6, srcc


def _beats(other: tuple[str, float, float], point: tuple[str, float, float]) -> bool:
    return other[1] <= point[1] and other[2] >= point[2] and other[1:] != point[1:]


def _batch_axis(axes: Axes, series: Sequence[tuple[str, Mapping[int, Any]]]) -> None:
    sizes = sorted({size for _, batches in series for size in batches})
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(sizes[0] / 1.3, sizes[-1] * 1.3)
    axes.set_xlabel("batch size, images")


def _positive_axis(axes: Axes, values: Sequence[float]) -> None:
    """Let the axis begin at 0, or make it logarithmic with plain numbers where the values lie far apart."""
    if not _wide(values):
        axes.set_ylim(0, 1.1 * max(values))
        return
    axes.set_yscale("log")
    _plain_numbers(axes.yaxis)


def _plain_numbers(axis: Axis) -> None:
    """Label a logarithmic axis with 1, 2, 5, 10, 20 ... instead of Matplotlib's powers of ten in TeX."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def _wide(values: Sequence[float]) -> bool:
    return max(values) > WIDE_RANGE * min(values)


def _speed_cells(batch: Document) -> list[str]:
    return [f"{batch[step][key]:.2f}" for step in (NETWORK, END_TO_END) for key in ("median_ms", "p95_ms")]


def _contenders(series: Sequence[tuple[str, Any]]) -> str:
    return f"{len(series)} contender{'s' * (len(series) > 1)}"


def _extent(values: Sequence[float], unit: str) -> str:
    return f"medians from {min(values):.3g} to {max(values):.3g} {unit}"

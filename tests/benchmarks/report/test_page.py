"""The report: every section on one page that needs no network, looked at in a real browser."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fiqa_benchmarks.report.ladders import mean_scores
from fiqa_benchmarks.report.page import findings, page, write_report
from fiqa_benchmarks.report.score_plots import MOST_ROWS
from fiqa_benchmarks.report.speed_plots import plots
from fiqa_benchmarks.report.svg import Plot
from fiqa_benchmarks.speed.bench import NETWORK
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.scoring.agreement import agree, rejection_threshold

from tests.help.samples.report_samples import (
    FIRST,
    HOSTILE,
    IMAGES,
    SECOND,
    contender,
    engine_scores,
)

LARGEST_PAGE = 1_500_000


class Outline(HTMLParser):
    """Ids, tags with attributes, and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, attribute: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(attribute)) is not None]


@pytest.fixture(scope="module")
def outline(report: Path) -> Outline:
    return Outline(report.read_text(encoding="utf-8"))


def named(drawn: list[Plot], name: str) -> Plot:
    return next(plot for plot in drawn if plot.name == name)


def test_every_plot_is_on_the_page(document: dict[str, Any], outline: Outline) -> None:
    drawn = plots(document)
    expected = ["latency", "throughput", "pareto", "scatter0", "scatter1", "ladders"]
    assert [plot.name for plot in drawn] == expected
    figures = {value.removeprefix("plot-") for value in outline.values("id") if value.startswith("plot-")}
    assert figures == set(expected)
    for plot in drawn:
        assert f"{plot.title}. {plot.summary}" in outline.values("aria-label")
        assert plot.rows and all(len(row) == len(plot.columns) for row in plot.rows)


def test_nothing_comes_from_elsewhere(outline: Outline) -> None:
    assert not {"script", "iframe", "object", "embed"} & {tag for tag, _ in outline.tags}
    addresses = [*outline.values("src"), *outline.values("href"), *outline.values("xlink:href")]
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)


def test_ids_are_unique_and_links_lead_somewhere(outline: Outline) -> None:
    ids = outline.values("id")
    assert len(set(ids)) == len(ids)
    targets = [a[1:] for a in (*outline.values("href"), *outline.values("xlink:href")) if a.startswith("#")]
    assert len(targets) > 20 and set(targets) <= set(ids)


def test_names_are_text_and_never_markup(outline: Outline) -> None:
    for text in (HOSTILE, "face 0 & <b>", "crashed <here>; leave it out", "Know this: not for <i>sale</i>."):
        assert text in outline.text
    assert not {"b", "i", "here"} & {tag for tag, _ in outline.tags}


def test_colours_are_the_pages(report: Path) -> None:
    html = report.read_text(encoding="utf-8")
    assert not re.search("#0000[ef][0-9]", html)
    assert {f"var(--series-{i})" for i in (0, 1, 2, 6)} <= set(re.findall(r"var\(--series-\d\)", html))
    assert html.count("currentColor") > 50


def test_page_is_small(report: Path) -> None:
    assert report.stat().st_size < LARGEST_PAGE


def test_flips_marked_are_those_counted(document: dict[str, Any]) -> None:
    scores = engine_scores()
    drawn = plots(document)
    flipped = round(agree(scores[FIRST], scores[SECOND]).flips[0.1] * IMAGES)
    assert flipped > 0
    plot = named(drawn, "scatter0")
    assert [row[-1] for row in plot.rows].count("flips") == flipped
    assert f"decision flips ({flipped})" in plot.svg
    assert "decision flips (0)" in named(drawn, "scatter1").svg
    threshold = rejection_threshold(np.array(scores[FIRST]), 0.1)
    assert sum(score < threshold for score in scores[FIRST]) == 6


def test_long_tables_say_what_they_leave_out() -> None:
    x = np.linspace(0, 1, 1500)
    scores = {"images": [str(i) for i in range(x.size)], "engines": {FIRST: x.tolist(), SECOND: (x**2).tolist()}}
    (plot,) = plots({"contenders": [], "scores": scores})
    assert len(plot.rows) == MOST_ROWS
    assert "500" in " ".join(plot.notes) and "100" in " ".join(plot.notes)
    assert len(plot.svg) < 400_000


def test_equal_ranks_have_an_axis_that_ends_at_one() -> None:
    scores = engine_scores()
    entries = [contender(FIRST, 4.0, 4_000_000, None), contender(SECOND, 1.0, 1_000_000, scores[FIRST])]
    svg = named(plots({"contenders": entries}), "pareto").svg
    labels = [float(text) for text in re.findall(r">([01]\.\d{3})</text>", svg)]
    assert max(labels) == 1 and min(labels) < 0.995


@pytest.mark.parametrize("size", [1_000_000, 40_000_000])
def test_numbers_of_logarithmic_axes_are_plain(size: int) -> None:
    """One contender's times and two sizes within little more than a decade, where Matplotlib labels in between."""
    entries = [contender(FIRST, 4.0, 4_000_000, None), contender(SECOND, 4.0, size, engine_scores()[SECOND])]
    for plot in plots({"contenders": entries}):
        assert "mathdefault" not in plot.svg, plot.name
        texts = re.findall(r">([\d.]+)</text>", plot.svg)
        assert len(set(texts)) >= 5, f"{plot.name} has too few numbers: {texts}"


def test_front_holds_who_is_beaten_in_neither() -> None:
    scores = engine_scores()
    entries = [
        contender(FIRST, 4.0, 4_000_000, None),
        contender(SECOND, 1.0, 1_000_000, scores[SECOND]),
        contender("bigger and no closer", 1.0, 2_000_000, scores[SECOND]),
        contender("close and small", 1.0, 1_500_000, scores[HOSTILE]),
    ]
    rows = named(plots({"contenders": entries}), "pareto").rows
    assert {row[0]: row[-1] for row in rows} == {
        FIRST: "no",
        SECOND: "yes",
        "bigger and no closer": "no",
        "close and small": "yes",
    }


def test_findings(document: dict[str, Any]) -> None:
    second, hostile, failed = findings(document)
    srcc = agree(engine_scores()[FIRST], engine_scores()[SECOND]).srcc
    assert f"{SECOND} takes 0.25 times the time of {FIRST} at batch 1; SRCC {srcc:.5f}" in second
    assert "0.0 % of the decisions" in hostile
    assert failed == "opencv did not run: crashed <here>; leave it out"


def test_constant_scores_are_said_and_not_drawn() -> None:
    entries = [contender(FIRST, 4.0, 4, None), contender(SECOND, 1.0, 1, [0.5] * IMAGES)]
    ratio = {"1": {NETWORK: {"median": 0.5}}, "8": {NETWORK: {"median": 0.5}}}
    document = {"contenders": entries, "ratios": {SECOND: ratio}}
    assert "no rank correlation (constant scores)" in findings(document)[0]
    assert "pareto" not in [plot.name for plot in plots(document)]
    assert "no rank correlation" in page(document)


def test_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--engine"):
        write_report({"contenders": []}, tmp_path / "report.html")


def test_folder_that_does_not_exist(document: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose a folder"):
        write_report(document, tmp_path / "missing" / "report.html")


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_missing_package(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.delitem(sys.modules, "fiqa_benchmarks.report.speed_plots", raising=False)
    for name in [package, *(name for name in sys.modules if name.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DependencyError, match=rf"--html needs {package}; .*fiqa-edge\[bench\]"):
        page(document)


def test_ladders_begin_at_the_untouched_picture() -> None:
    rungs = [("pristine", 0), ("blur", 1), ("blur", 2), ("pristine", 0), ("blur", 1), ("blur", 2)]
    found = mean_scores(rungs, {"a": [1.0, 0.5, 0.2, 0.8, 0.3, 0.0]})
    assert found == {"a": {"blur": pytest.approx([0.9, 0.4, 0.1])}}


@pytest.mark.parametrize(
    ("rungs", "scores"),
    [([("pristine", 0), ("blur", 2)], [1, 2]), ([("blur", 1)], [1]), ([("pristine", 0)], [1, 2])],
)
def test_incomplete_parity_set(rungs: list[tuple[str, int]], scores: list[float]) -> None:
    with pytest.raises(InputError):
        mean_scores(rungs, {"a": scores})

"""The report: every section on one page that needs no network, looked at in a real browser."""

from __future__ import annotations

import base64
import json
import re
import shutil
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_benchmarks import report_data
from fiqa_benchmarks.bench import END_TO_END, NETWORK
from fiqa_benchmarks.bench import as_json as bench_json
from fiqa_benchmarks.bench import bench as run_bench
from fiqa_benchmarks.crops import seeded_crops
from fiqa_benchmarks.discard import Comparisons, edc_curves
from fiqa_benchmarks.peers import contenders
from fiqa_benchmarks.report import findings, page, write_report
from fiqa_benchmarks.report_plots import plots
from fiqa_benchmarks.report_score_plots import MOST_ROWS
from fiqa_benchmarks.report_svg import SERIES, Plot
from fiqa_runtime.agreement import agree, rejection_threshold
from fiqa_runtime.card import read_card
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.seeded import seeded_image

FIRST, SECOND, HOSTILE = "net.fp32.onnx", "net.int8.onnx", "_<script>alert(1)</script>$x_y.onnx"
IMAGES = 60
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LARGEST_PAGE = 1_500_000


def timing(milliseconds: float, batch: int) -> dict[str, Any]:
    return {
        "median_ms": milliseconds,
        "p95_ms": 1.2 * milliseconds,
        "p99_ms": 1.4 * milliseconds,
        "images_per_second": 1e3 * batch / milliseconds,
        "samples": 30,
    }


def contender(name: str, speed: float, size: int | None, scores: list[float] | None) -> dict[str, Any]:
    difference = None
    if scores is not None:
        difference = {"max_abs": {"score": 0.01}, "score": agree(engine_scores()[FIRST], scores).as_json()}
    return {
        "name": name,
        "engine": f"engines/{name}",
        "model": "net",
        "precision": "fp32",
        "weights": "official",
        "backend": {"name": "onnxruntime", "version": "1.31"},
        "load_ms": 30.0,
        "file_bytes": size,
        "batches": {
            str(batch): {
                NETWORK: timing(batch * speed, batch),
                END_TO_END: timing(batch * speed + 1, batch),
                "rounds": 3,
                "overhead": {"median": 1.1, "low": 1.0, "high": 1.2},
                "peak_resident_bytes": 10**8,
                "difference": difference,
            }
            for batch in (1, 8)
        },
    }


def engine_scores() -> dict[str, list[float]]:
    generator = np.random.default_rng(4)
    first = generator.uniform(0.2, 0.9, IMAGES)
    return {
        FIRST: first.tolist(),
        SECOND: (first + generator.normal(0, 0.05, IMAGES)).tolist(),
        HOSTILE: (first + 1e-4).tolist(),
    }


def curves() -> list[dict[str, Any]]:
    generator = np.random.default_rng(5)
    pairs = generator.integers(0, 200, (6000, 2))
    genuine = np.arange(6000) % 2 == 0
    quality = generator.uniform(size=200)
    spread = 1.2 - quality[pairs].min(axis=1)
    distance = np.where(genuine, 0.3, 0.7) + spread * generator.normal(0, 0.15, 6000)
    found = edc_curves(Comparisons(pairs, genuine, distance), quality)
    return [{"name": name, **curve.as_json()} for name in (FIRST, HOSTILE) for curve in found]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """Every section, with names that try to break out of the page."""
    scores = engine_scores()
    crops = [seeded_image(index, 48, 40) for index in range(IMAGES)]
    names = [f"face {index} & <b>" for index in range(IMAGES)]
    rungs = [("pristine", 0), *((kind, step) for kind in ("blur", "noise", "jpeg") for step in (1, 2, 3))]
    ramps = np.random.default_rng(6).uniform(size=(2, 4, 16, 16)).astype(np.float32)
    return {
        "machine": {"cpu": "A processor", "usable_cores": 2.0, "cores": None},
        "versions": {"python": "3.11.7"},
        "settings": {"batches": [1, 8], "threads": None, "images": {"source": "seeded", "count": IMAGES}},
        "contenders": [
            contender(FIRST, 4.0, 4_000_000, None),
            contender(SECOND, 1.0, 1_000_000, scores[SECOND]),
            contender(HOSTILE, 40.0, None, scores[HOSTILE]),
            {"name": "opencv", "engine": "engines/net.onnx", "error": "crashed <here>; leave it out"},
        ],
        "ratios": {
            name: {
                batch: {step: {"median": ratio, "low": ratio, "high": ratio} for step in (NETWORK, END_TO_END)}
                for batch in ("1", "8")
            }
            for name, ratio in ((SECOND, 0.25), (HOSTILE, 10.0))
        },
        "scores": {"images": names, "engines": scores},
        "worst": report_data.worst_moved(scores, crops, names),
        "maps": report_data.map_rows({FIRST: ramps[0], SECOND: ramps[1]}, crops[:4], names[:4]),
        "ladders": report_data.ladders(
            rungs, {name: np.linspace(1, 0.1 * k, len(rungs)) for k, name in enumerate(scores)}
        ),
        "edc": curves(),
        "cards": {FIRST: {"model": "net", "notes": ["Know this: not for <i>sale</i>."], "plan": {}}},
        "gate": {
            "engine": SECOND,
            "baseline": "old.json",
            "checks": [{"budget": "srcc", "limit": 0.99, "value": None, "note": "no scores", "passed": False}],
        },
        "mos": mos(),
    }


def mos() -> dict[str, Any]:
    estimate = {"value": 0.9, "low": 0.8, "high": 0.95}
    undefined = {"value": None, "low": None, "high": None}
    return {
        "images": 2,
        "resamples": 1000,
        "engines": {FIRST: {"srcc": estimate, "plcc_4": undefined}, SECOND: {"srcc": estimate, "plcc_4": estimate}},
        "differences": {SECOND: {"srcc": estimate, "plcc_4": undefined}},
        "notes": ["constant scores"],
        "scores": [{"path": f"{i}.png", "mos": i, "engines": {FIRST: i, SECOND: 1.0 - i}} for i in (0.25, 0.5, 0.75)],
    }


@pytest.fixture(scope="module")
def report(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(document, path)
    return path


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
    expected = ["latency", "throughput", "pareto", "scatter0", "scatter1", "ladders", "edc0", "edc1", "edc2"]
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


def test_error_rates_that_do_not_exist_are_gaps() -> None:
    (curve, *_) = curves()
    curve["fnmr"][-2:] = [None, None]
    (plot,) = plots({"contenders": [], "edc": [curve]})
    assert [row[1] for row in plot.rows[-3:-1]] == ["–", "–"]
    assert plot.rows[0] == ("0.00", f"{curve['fnmr'][0]:.4f}")


@pytest.mark.parametrize("part", ["edc", "mos"])
def test_page_without_a_benchmark(document: dict[str, Any], part: str) -> None:
    text = Outline(page({part: document[part], "versions": document["versions"]})).text
    assert ("Error versus discard" if part == "edc" else "0.9000 [0.8000, 0.9500]") in text
    assert "Latency" not in text


def test_opinion_scores_are_drawn_engine_against_engine(document: dict[str, Any]) -> None:
    ids = Outline(page({"mos": document["mos"]})).values("id")
    assert "plot-scatter0" in ids


def test_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--engine"):
        write_report({"contenders": []}, tmp_path / "report.html")


def test_folder_that_does_not_exist(document: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose a folder"):
        write_report(document, tmp_path / "missing" / "report.html")


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_missing_package(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.delitem(sys.modules, "fiqa_benchmarks.report_plots", raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DependencyError, match=rf"--html needs {package}; .*fiqa-edge\[bench\]"):
        page(document)


def test_ladders_begin_at_the_untouched_picture() -> None:
    rungs = [("pristine", 0), ("blur", 1), ("blur", 2), ("pristine", 0), ("blur", 1), ("blur", 2)]
    found = report_data.ladders(rungs, {"a": [1.0, 0.5, 0.2, 0.8, 0.3, 0.0]})
    assert found == {"a": {"blur": pytest.approx([0.9, 0.4, 0.1])}}


@pytest.mark.parametrize(
    ("rungs", "scores"),
    [([("pristine", 0), ("blur", 2)], [1, 2]), ([("blur", 1)], [1]), ([("pristine", 0)], [1, 2])],
)
def test_incomplete_parity_set(rungs: list[tuple[str, int]], scores: list[float]) -> None:
    with pytest.raises(InputError):
        report_data.ladders(rungs, {"a": scores})


def test_worst_moved() -> None:
    crops = [seeded_image(index, 20, 20) for index in range(4)]
    scores = {"a": [0.1, 0.2, 0.3, 0.4], "b": [0.1, 0.2 + 1e-7, 0.05, 0.5]}
    found = report_data.worst_moved(scores, crops, "wxyz")
    assert [(entry["image"], entry["flips"]) for entry in found] == [("y", True), ("z", False)]
    assert (found[0]["reference"], found[0]["score"]) == (0.3, 0.05)


def test_maps_that_moved_most_come_first() -> None:
    first = np.full((6, 8, 8), 0.5, np.float32)
    other = first + np.array([0, 0.3, 0.1, 0, 0.2, 0.4], np.float32)[:, None, None]
    rows = report_data.map_rows({"a": first, "b": other}, [seeded_image(0, 8, 8)] * 6, "uvwxyz")
    assert [row["image"] for row in rows] == ["z", "v", "y", "w"]
    assert rows[0]["maps"]["b"]["max_abs"] == pytest.approx(0.4, abs=1e-6)
    assert rows[0]["maps"]["a"]["mean"] == pytest.approx(0.5)


def test_pictures_are_small_and_true() -> None:
    wide = np.full((300, 600, 3), (200, 40, 10), np.uint8)
    address = report_data.picture(wide)
    assert address.startswith("data:image/jpeg;base64,")
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(address.split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
    assert decoded.shape == (80, 160, 3)
    assert np.abs(decoded.astype(int) - (200, 40, 10)).max() <= 4


def test_sections_of_a_real_benchmark(seeded_engine: Path, tmp_path: Path) -> None:
    entered = contenders([str(seeded_engine)], "onnxruntime", ["opencv"])
    crops = seeded_crops(read_card(seeded_engine).input, 4)
    results = run_bench(entered, crops, rounds=1, threads=1)
    found = report_data.sections(results, crops, threads=1)
    assert list(found["scores"]["engines"]) == [seeded_engine.name, "opencv"]
    difference = bench_json(results)["contenders"][1]["batches"]["1"]["difference"]
    again = agree(*found["scores"]["engines"].values())
    assert again.max_abs == pytest.approx(difference["score"]["max_abs"], abs=1e-6)
    assert found["cards"][seeded_engine.name]["model"] == "ediffiqa-t"
    assert "maps" not in found
    document = json.loads(json.dumps({**bench_json(results), **found}))
    write_report(document, tmp_path / "report.html")
    assert seeded_engine.name in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A headless Chromium with a fresh profile that logs its console and every request."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium with chromedriver here")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield opened
    opened.quit()


def show(browser: Any, report: Path, width: int = 1200, scheme: str = "light", media: str = "screen") -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    browser.get(report.as_uri())


def picture_of(browser: Any, selector: str) -> Any:
    """Pixels of the element, BGR."""
    from selenium.webdriver.common.by import By

    shot = browser.find_element(By.CSS_SELECTOR, selector).screenshot_as_png
    return cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR)


def page_colour(browser: Any, name: str) -> Any:
    """Red, green, blue of a custom property, 0..255."""
    script = "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0]).trim().slice(1)"
    return np.frombuffer(bytes.fromhex(browser.execute_script(script, f"--{name}")), np.uint8).astype(int)


def luminance(colour: Any) -> float:
    """Relative luminance as WCAG 2 defines it."""
    share = colour / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def drawn_colours(browser: Any, name: str) -> tuple[float, int]:
    """Of a plot: share of pixels that are not the background, and how many have the first series' colour."""
    pixels = picture_of(browser, f"#plot-{name} svg").astype(int)
    paper, series = (page_colour(browser, key)[::-1] for key in ("paper", "series-0"))
    other = np.abs(pixels - paper).max(axis=2) > 40
    own = other & (np.abs(pixels - series).max(axis=2) < 12)
    return float(other.mean()), int(own.sum())


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (360, "light")])
def test_every_plot_is_drawn(
    browser: Any, report: Path, document: dict[str, Any], tmp_path: Path, width: int, scheme: str
) -> None:
    show(browser, report, width, scheme)
    for plot in plots(document):
        ink, coloured = drawn_colours(browser, plot.name)
        assert 0.01 < ink < 0.5, plot.name
        assert coloured > 30, plot.name
    shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    (tmp_path / f"report-{width}-{scheme}.png").write_bytes(base64.b64decode(shot["data"]))
    assert cv2.imread(str(tmp_path / f"report-{width}-{scheme}.png")).std() > 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_stand_out(browser: Any, report: Path, scheme: str) -> None:
    show(browser, report, scheme=scheme)
    paper = luminance(page_colour(browser, "paper"))
    wanted = {"ink": 7.0, "soft": 4.5, "link": 4.5, **{f"series-{index}": 4.5 for index in range(SERIES)}}
    for name, least in wanted.items():
        dark, light = sorted((paper, luminance(page_colour(browser, name))))
        assert (light + 0.05) / (dark + 0.05) >= least, name


def test_a_plot_that_is_not_drawn_is_noticed(browser: Any, report: Path) -> None:
    show(browser, report)
    browser.execute_script("document.querySelector('#plot-latency svg').replaceChildren()")
    ink, coloured = drawn_colours(browser, "latency")
    assert ink < 0.001 and coloured == 0


def test_browser_has_nothing_to_complain_and_asks_nobody(browser: Any, report: Path) -> None:
    browser.get("data:text/html,<script>console.error('seen')</script>")
    assert any("seen" in entry["message"] for entry in browser.get_log("browser"))
    browser.get_log("performance")
    show(browser, report)
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert report.as_uri() in asked
    assert all(url == report.as_uri() or url.startswith("data:") for url in asked)


def test_pictures_are_shown(browser: Any, report: Path, document: dict[str, Any]) -> None:
    show(browser, report)
    sizes = browser.execute_script("return [...document.images].map(i => [i.naturalWidth, i.clientWidth, i.alt])")
    assert len(sizes) == 1 + len(document["worst"]) + 3 * len(document["maps"])
    assert all(natural > 0 and shown > 0 and alt for natural, shown, alt in sizes)


@pytest.mark.parametrize("opened", [False, True])
def test_phone_scrolls_down_only(browser: Any, report: Path, opened: bool) -> None:
    show(browser, report, 360)
    if opened:
        browser.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    smallest = "Math.min(...[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height))"
    assert browser.execute_script(f"return {smallest}") >= 10


def test_keyboard_reaches_the_numbers(browser: Any, report: Path) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    show(browser, report)
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    skip = browser.switch_to.active_element
    assert skip.text == "Skip to the report"
    skip.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"
    for _ in range(40):
        browser.switch_to.active_element.send_keys(Keys.TAB)
        focused = browser.switch_to.active_element
        if focused.tag_name == "summary" and "Latency" in focused.text:
            break
    focused.send_keys(Keys.ENTER)
    table = browser.find_element(By.CSS_SELECTOR, "#plot-latency table")
    assert table.is_displayed() and "5.00" in table.text


def test_print_is_on_white_and_leaves_closed_tables_out(browser: Any, report: Path) -> None:
    show(browser, report, scheme="dark", media="print")
    style = "getComputedStyle(document.{}).{}"
    assert browser.execute_script("return " + style.format("body", "backgroundColor")) == "rgb(255, 255, 255)"
    hidden = "return " + style.format("querySelector('#plot-latency details')", "display")
    assert browser.execute_script(hidden) == "none"
    browser.execute_script("document.querySelector('#plot-latency details').open = true")
    assert browser.execute_script(hidden) != "none"
    show(browser, report, scheme="dark")
    assert browser.execute_script("return " + style.format("body", "backgroundColor")) == "rgb(22, 24, 29)"

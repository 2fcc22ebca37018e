"""The report in a real headless Chromium: drawn, quiet, readable on a phone, by keyboard, in dark mode and in print."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fiqa_benchmarks.report.speed_plots import plots
from fiqa_benchmarks.report.svg import SERIES
from fiqa_runtime.images.reading import read_image

from tests.help.chromium import drawn_colours, opened_browser, page_colour, show


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with opened_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


def luminance(colour: Any) -> float:
    """Relative luminance as WCAG 2 defines it."""
    share = colour / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


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
    assert read_image(tmp_path / f"report-{width}-{scheme}.png").std() > 10


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

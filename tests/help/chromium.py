"""A real headless Chromium that tests look at pages with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_benchmarks.report.svg import SERIES

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


@contextmanager
def opened_browser(profile: Path, *more: str) -> Iterator[Any]:
    """A browser with a fresh profile, and `more` flags, that logs its console and every request.

    Skips the test where there is none.
    """
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("no chromium with chromedriver here: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, *more, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield browser
    finally:
        browser.quit()


def show(browser: Any, report: Path, width: int = 1200, scheme: str = "light", media: str = "screen") -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
    browser.get(report.as_uri())


def picture_of(browser: Any, selector: str) -> Any:
    """Pixels of the element, BGR."""
    from selenium.webdriver.common.by import By

    element = browser.find_element(By.CSS_SELECTOR, selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)  # else the fold may cut it
    shot = element.screenshot_as_png
    return cv2.imdecode(np.frombuffer(shot, np.uint8), cv2.IMREAD_COLOR)


def page_colour(browser: Any, name: str) -> Any:
    """Red, green, blue of a custom property, 0..255."""
    script = "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0]).trim().slice(1)"
    return np.frombuffer(bytes.fromhex(browser.execute_script(script, f"--{name}")), np.uint8).astype(int)


def drawn_colours(browser: Any, name: str) -> tuple[float, int]:
    """Of a plot: share of pixels that are not the background, and how many have a series' colour."""
    pixels = picture_of(browser, f"#plot-{name} svg").astype(int)
    other = np.abs(pixels - page_colour(browser, "paper")[::-1]).max(axis=2) > 40
    series = [page_colour(browser, f"series-{index}")[::-1] for index in range(SERIES)]
    own = [np.abs(pixels - colour).max(axis=2) < 12 for colour in series]
    return float(other.mean()), int((other & np.any(own, axis=0)).sum())

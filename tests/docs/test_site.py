"""The site builds strictly, loads nothing from elsewhere, and no page is wider than the screen that shows it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.help.chromium import opened_browser, show
from tests.help.places import ROOT

WIDTHS = (1280, 390)
TOO_WIDE = """
return [...document.querySelectorAll('.md-content *')]
  .filter(e => e.getBoundingClientRect().right > window.innerWidth + 1 && !e.closest('.md-typeset__scrollwrap, pre'))
  .map(e => e.outerHTML.slice(0, 80)).slice(0, 3)
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site") / "site"
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    result = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with opened_browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def test_generators_and_their_package_are_not_published(site: Path) -> None:
    assert not list(site.rglob("*.py"))
    assert (site / "reference" / "schemas" / "card.v1.json").is_file()


def test_the_reference_is_filled(site: Path) -> None:
    assert "--fp32-threshold" in (site / "reference" / "fiqa-score" / "index.html").read_text("utf-8")
    python = (site / "reference" / "python" / "index.html").read_text("utf-8")
    assert "FaceQuality" in python and "DiscardCurve" in python and "Cropper" in python
    assert ":class:" not in python


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_fit_the_screen_and_ask_nobody(site: Path, browser: Any, width: int) -> None:
    pages = sorted(site.rglob("index.html"))
    assert len(pages) > 35
    for page in pages:
        show(browser, page, width=width)
        name = page.relative_to(site)
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth"), name
        assert not browser.execute_script(TOO_WIDE), name
        assert not [url for url in asked_for(browser) if not url.startswith(("file://", "data:", "chrome"))], name


def asked_for(browser: Any) -> list[str]:
    """Addresses that the browser has asked for since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]

"""The page of an evaluation: sentences that say what the numbers say, warnings on top, drawn in a real browser."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fiqa_evaluation.discard.comparisons import Comparisons
from fiqa_evaluation.discard.evaluate import Wanted, evaluate
from fiqa_evaluation.discard.start import Start
from fiqa_evaluation.distributions.compare import compare
from fiqa_evaluation.page.findings import findings
from fiqa_evaluation.page.page import page, write_page
from fiqa_evaluation.page.warnings import warnings
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.reading import read_image

from tests.help.chromium import drawn_colours, opened_browser, show

HOSTILE = "_<script>alert(1)</script>$x_y"


def discard_part(title: str, resamples: int = 60, error: bool = True) -> dict[str, Any]:
    """A good, an equal and a random score over pairs that fail where faces are bad."""
    generator = np.random.default_rng(3)
    identity = np.repeat(np.arange(60), 4)
    quality = generator.random(240)
    a, b = np.triu_indices(240, 1)
    kept = (identity[a] == identity[b]) | (generator.random(len(a)) < 0.1)
    a, b = a[kept], b[kept]
    genuine = identity[a] == identity[b]
    spread = 0.5 * (1.1 - np.minimum(quality[a], quality[b])) * error
    distance = np.where(genuine, 0.2 + spread, 0.7) + generator.normal(0, 0.08, len(a))
    comparisons = Comparisons(np.stack([a, b], axis=1), genuine, distance)
    qualities = {"good": quality, HOSTILE: generator.random(240), "twin": quality + 1}
    wanted = Wanted(starts=(Start("fmr", 0.01),), resamples=resamples, also=("fmr", "det"))
    found = evaluate(comparisons, identity, qualities, wanted=wanted)
    counts = {"genuine": int(genuine.sum()), "impostor": int((~genuine).sum()), "images": 240, "bootstrap": resamples}
    return {"title": title, "comparisons": counts, **found.as_json(), "notes": list(found.notes)}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    generator = np.random.default_rng(1)
    sets = {"clear": generator.normal(0.8, 0.1, 200), "blurred": generator.normal(0.4, 0.1, 200)}
    return {
        "title": "A <b>page</b>",
        "warnings": ["seeded-net has seeded weights"],
        "discard": [discard_part("lfw, r50"), discard_part("xqlfw, r50")],
        "distributions": [compare("good", sets).as_json()],
        "could_not": ["no published data set was at hand"],
    }


def test_the_first_sentences_say_what_was_found_and_how_sure_it_is(document: dict[str, Any]) -> None:
    first, second, *rest = findings(document)
    said = (
        "good sorts out recognition errors best, or as well as the best, in 2 of 2 combinations of set and recogniser."
    )
    assert first.startswith(said) and "better than discarding at random in 2 of them" in first
    assert "surely (95 %) better than every other method in none" in first, "its twin is as good"
    assert f"surely better (95 %) than {HOSTILE}, and not to be told apart from twin on these pairs" in second
    good = document["discard"][0]["edc"][0]
    assert f"{good['fnmr'][0]:.4f} to {good['fnmr'][4]:.4f} [{good['low'][4]:.4f}, {good['high'][4]:.4f}]" in second
    assert any("an image of clear is better than one of blurred with a probability of 1.00" in line for line in rest)


def test_without_a_bootstrap_nothing_is_sure_and_without_errors_nothing_is_found() -> None:
    unsure = {"discard": [discard_part("", 0)]}
    (line,) = findings(unsure)
    assert line.startswith("By good, discarding the worst 20 %") and "how surely was not computed" in line
    assert any("no intervals were computed" in each.lower() for each in warnings(unsure))
    flawless = {"discard": [discard_part("a", 5, error=False), discard_part("b", 5, error=False)]}
    for part in flawless["discard"]:
        for row in part["edc"]:
            row["fnmr"] = [0.0] * 20
    assert findings(flawless)[0] == "In none of 2 combinations of set and recogniser is there an error to sort out."
    assert "nothing to sort out: a at FMR 0.01 and b at FMR 0.01." in findings(flawless)[1]


def test_combinations_without_errors_and_scores_that_harm_are_told(document: dict[str, Any]) -> None:
    flawless = discard_part("a", 5, error=False)
    for row in flawless["edc"]:
        row["fnmr"] = [0.0] * 20
    harmful = discard_part("c", 5)
    for row in harmful["edc"]:
        row["pauc_relative"] = dict.fromkeys(row["pauc_relative"], 1.1)
    found = findings({"discard": [flawless, document["discard"][0], harmful]})
    assert "in 2 of 2 combinations of set and recogniser (in 1 more no genuine pair fails)" in found[0]
    assert "better than discarding at random in 1 of them" in found[0]
    assert sum("nothing to sort out" in line for line in found) == 1


def test_warnings_are_said_once_with_where_they_hold(document: dict[str, Any]) -> None:
    said = warnings(document)
    assert said[0] == "seeded-net has seeded weights" and len(set(said)) == len(said)
    many = {"discard": [{**discard_part(f"s{k}", 0)} for k in range(5)]}
    (line,) = [line for line in warnings(many) if "no intervals" in line]
    assert line.startswith("s0; s1; s2 and 2 more evaluations: no intervals")


def test_precision_and_detectors_in_words() -> None:
    row = {
        "set": "lfw",
        "recogniser": "r50",
        "low_precision": "int8",
        "reference": "fp32",
        "start": "FMR 0.01",
        "limit": 0.3,
        "difference": 0.002,
        "low": 0.001,
        "high": 0.003,
        "moved": True,
        "fnmr_change": -0.01,
    }
    still = {**row, "set": "xqlfw", "moved": False, "difference": -0.0001, "low": -0.001, "high": 0.001}
    (line,) = findings({"precision": [row, still]})
    assert line.startswith("int8 in place of fp32: the curve moves measurably in 1 of 2 combinations (lfw with r50)")
    assert "+0.00200 [+0.00100, +0.00300]" in line and "-0.0100" in line
    detectors = [
        {"set": "a", "method": m, "first": "yunet", "second": "mtcnn", "images": 9, "srcc": s}
        for m, s in (("x", 0.9), ("y", 0.8))
    ]
    (line,) = findings({"detectors": detectors})
    assert line == "a: crops of mtcnn and yunet rank 9 images with an SRCC of 0.8000 to 0.9000."


def test_names_are_text_and_nothing_comes_from_elsewhere(document: dict[str, Any]) -> None:
    html = page(document)
    assert "<script" not in html and "A &lt;b&gt;page" in html
    assert "http://" not in html.replace("http://www.w3.org/", "") and "https://" not in html
    assert "default-src 'none'" in html
    assert html.index("Before you believe it") < html.index("<main")


def test_a_page_says_what_was_reproduced_and_what_was_not(document: dict[str, Any]) -> None:
    html = page(document)
    section = html[html.index('<section id="reproduced"') :]
    here, general = map(section.index, ("no published data set was at hand", "No figure of a paper was reproduced"))
    assert here < general < section.index("</section>")
    assert "No figure of a paper was reproduced" in page({**document, "could_not": ()}), "also where nothing is missing"


def test_nothing_to_show(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to show"):
        write_page({"title": "t"}, tmp_path / "p.html")


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (360, "dark")])
def test_a_browser_draws_it(document: dict[str, Any], tmp_path: Path, width: int, scheme: str) -> None:
    write_page(document, tmp_path / "p.html")
    with opened_browser(tmp_path / "profile") as browser:
        show(browser, tmp_path / "p.html", width, scheme)
        assert browser.get_log("browser") == []
        for name in ("edc0-0", "fmr0-0", "det0-0", "edc1-0", "spread0"):
            ink, coloured = drawn_colours(browser, name)
            assert 0.01 < ink < 0.6 and coloured > 20, name
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        smallest = "Math.min(...[...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height))"
        assert browser.execute_script(f"return {smallest}") >= 10, "labels can be read"
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    (tmp_path / "p.png").write_bytes(base64.b64decode(shot["data"]))
    assert read_image(tmp_path / "p.png").std() > 10

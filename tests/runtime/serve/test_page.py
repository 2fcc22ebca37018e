"""The page at ``/`` in a real browser: photos go up, faces come back, and nothing leaves for elsewhere."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from fiqa_runtime.command.results import COLUMNS
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.serve.service import Service

from tests.help.chromium import opened_browser, picture_of
from tests.help.samples.one_face import OneFace
from tests.help.servers.served import picture, served, service_for, until

TOKEN = "0123456789abcdef"
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
OWN = ("blob", "data", "chrome")
"""Addresses inside the browser: its own first page, and pictures that a page has made."""
SIZES = ((300, 400), (200, 260), (240, 240))


class TwoFaces(OneFace):
    """Finds one face in the left half and one in the right half of every picture."""

    def detect(self, image: Image) -> list[Detection]:
        (face,) = super().detect(image[:, : image.shape[1] // 2])
        by = np.array([image.shape[1] // 2, 0], np.float32)
        return [face, Detection(face.box + np.append(by, [0, 0]).astype(np.float32), face.landmarks + by, 0.8)]


@pytest.fixture(scope="module")
def service(scorer: Scorer) -> Iterator[Service]:
    with service_for(scorer, finder=TwoFaces()) as opened:
        yield opened


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with opened_browser(tmp_path_factory.mktemp("profile"), *CAMERA) as opened:
        yield opened


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"photo {index}.png" for index in range(len(SIZES))]
    for index, path in enumerate(paths):
        path.write_bytes(picture(".png", index, *SIZES[index])[0])
    return paths


def by_id(browser: Any, name: str) -> Any:
    from selenium.webdriver.common.by import By

    return browser.find_element(By.ID, name)


def upload(browser: Any, paths: list[Path]) -> None:
    by_id(browser, "files").send_keys("\n".join(map(str, paths)))


def tiles(browser: Any) -> list[tuple[float, str, bool]]:
    """Of every face on the sheet, as it is shown: score, file, and whether it is accepted."""
    script = (
        "return [...document.querySelectorAll('#sheet button')].map((tile) => "
        "[tile.querySelector('b').textContent, tile.querySelector('small').textContent])"
    )
    return [(float(score[2:]), name, score[0] == "✓") for score, name in browser.execute_script(script)]


def set_threshold(browser: Any, value: float) -> float:
    script = (
        "const slider = document.getElementById('threshold'); slider.value = arguments[0];"
        "slider.dispatchEvent(new Event('input')); return Number(slider.value)"
    )
    return float(browser.execute_script(script, value))


def errors_of(browser: Any) -> list[str]:
    """What the console complains of, other than answers that are errors."""
    return [each["message"] for each in browser.get_log("browser") if each["source"] != "network"]


@pytest.fixture
def shown(browser: Any, place: str) -> str:
    """The page, opened anew."""
    url = f"http://{place}/"
    browser.get(url)
    return url


def test_photos_go_up_and_faces_come_back(
    browser: Any, shown: str, photos: list[Path], scorer: Scorer, tmp_path: Path
) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("no photo")
    upload(browser, [*photos, text])
    until(lambda: by_id(browser, "status").text == "4 photos, 6 faces")
    quality = FaceQuality(scorer, TwoFaces())
    expected = {path.name: [face.quality for face in quality.assess(read_image(path))] for path in photos}
    found = tiles(browser)
    assert [score for score, _, _ in found] == sorted((score for score, _, _ in found), reverse=True)
    assert sorted((name, score) for score, name, _ in found) == sorted(
        (name, float(f"{score:.3f}")) for name, scores in expected.items() for score in scores
    )
    assert all(accepted for _, _, accepted in found)
    assert "text.jpg" in by_id(browser, "problems").text and "ediffiqa-t, fp32" in by_id(browser, "model").text

    middle = set_threshold(browser, float(np.median([score for score, _, _ in found])))
    decided = tiles(browser)
    exact = sorted((score for scores in expected.values() for score in scores), reverse=True)
    assert [accepted for _, _, accepted in decided] == [score >= middle for score in exact]
    assert 0 < sum(accepted for _, _, accepted in decided) < 6
    assert by_id(browser, "count").text == f"{sum(score >= middle for score in exact)} of 6 accepted"

    downloads = tmp_path / "downloads"
    behaviour = {"behavior": "allow", "downloadPath": str(downloads)}
    browser.execute_cdp_cmd("Page.setDownloadBehavior", behaviour)
    by_id(browser, "csv").click()
    until((downloads / "faces.csv").is_file)
    rows = list(csv.DictReader((downloads / "faces.csv").open(encoding="utf-8", newline="")))
    assert tuple(rows[0]) == COLUMNS and len(rows) == 7
    scored = [row for row in rows if row["outcome"] == "scored"]
    assert sorted((row["path"], float(row["quality"])) for row in scored) == sorted(
        (name, score) for name, scores in expected.items() for score in scores
    )
    assert all((row["accepted"] == "True") == (float(row["quality"]) >= middle) for row in scored)
    (refused,) = [row for row in rows if row["outcome"] != "scored"]
    assert refused["path"] == "text.jpg" and refused["outcome"] == "refused" and refused["reason"]
    assert errors_of(browser) == []


def test_keys_go_from_face_to_face(browser: Any, shown: str, photos: list[Path]) -> None:
    from selenium.webdriver.common.keys import Keys

    upload(browser, photos)
    until(lambda: by_id(browser, "status").text == "3 photos, 6 faces")
    browser.execute_script("document.querySelector('#sheet button').focus()")
    order = "return [...document.querySelectorAll('#sheet button')].indexOf(document.activeElement)"
    for key, at in ((Keys.ARROW_RIGHT, 1), (Keys.END, 5), (Keys.ARROW_RIGHT, 5), (Keys.ARROW_LEFT, 4), (Keys.HOME, 0)):
        browser.switch_to.active_element.send_keys(key)
        assert browser.execute_script(order) == at
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    best = tiles(browser)[0][1]
    until(lambda: by_id(browser, "caption").text == f"{best}: 2 faces")
    until(lambda: browser.execute_script(order) == 0)
    by_id(browser, "clear").click()
    assert tiles(browser) == [] and not by_id(browser, "results").is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 390])
def test_it_fits_desktop_and_phone_in_light_and_dark(
    browser: Any, place: str, photos: list[Path], width: int, scheme: str
) -> None:
    metrics = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(f"http://{place}/")
    upload(browser, photos)
    until(lambda: by_id(browser, "status").text == "3 photos, 6 faces")
    assert browser.execute_script("const {scrollWidth, clientWidth} = document.body; return scrollWidth <= clientWidth")
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) < 128) == (scheme == "dark")
    pixels = picture_of(browser, "#view").astype(int)
    green = np.array([0x3A, 0x71, 0x14])  # blue, green, red of a box that is accepted
    assert (np.abs(pixels - green).max(axis=2) < 12).sum() > 100
    heights = "return [...document.querySelectorAll('button')].map((each) => each.offsetHeight).filter(Boolean)"
    assert min(browser.execute_script(heights)) >= 44  # a thumb hits them


def test_a_token_is_asked_for(browser: Any, scorer: Scorer, photos: list[Path]) -> None:
    with service_for(scorer) as service, served(service, TOKEN) as place:
        browser.get(f"http://{place}/")
        upload(browser, photos[:1])
        until(lambda: by_id(browser, "entry").is_displayed())
        assert "a token is needed" in by_id(browser, "problems").text
        by_id(browser, "token").send_keys(f"{TOKEN}\n")
        until(lambda: not by_id(browser, "entry").is_displayed())
        by_id(browser, "clear").click()
        upload(browser, photos[:1])
        until(lambda: by_id(browser, "status").text == "1 photo, 1 face")
        assert errors_of(browser) == []


def test_the_webcam(browser: Any, shown: str) -> None:
    """Chromium's own test picture stands for a camera."""
    by_id(browser, "camera").click()
    until(lambda: by_id(browser, "caption").text == "Webcam: 2 faces")
    by_id(browser, "keep").click()
    until(lambda: len(tiles(browser)) == 2)
    by_id(browser, "camera").click()
    until(lambda: by_id(browser, "caption").text == "webcam-1.jpg: 2 faces")
    assert not by_id(browser, "keep").is_displayed() and errors_of(browser) == []


def test_nothing_was_asked_of_anybody_else(browser: Any, shown: str) -> None:
    """Over all tests of this file, since the log of requests is kept from the beginning."""
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [each["params"]["request"]["url"] for each in asked if each["method"] == "Network.requestWillBeSent"]
    assert f"{shown}asking.js" in urls
    assert {urlsplit(url).hostname for url in urls if urlsplit(url).scheme not in OWN} == {"127.0.0.1"}

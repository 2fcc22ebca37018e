"""`--html` of fiqa-bench as typed: every mode writes its page, and the page holds what the mode found."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import fiqa_benchmarks.cli
import fiqa_benchmarks.report.page
import numpy as np
import pytest
from fiqa_benchmarks.report.ladders import PICTURES
from fiqa_benchmarks.speed.bench import END_TO_END, NETWORK
from fiqa_benchmarks.speed.latency import Timing
from fiqa_runtime.artefact.spec import Precision
from fiqa_runtime.images.ladder import KINDS, ladders
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.chromium import drawn_colours, opened_browser, show
from tests.help.commands import Invoke
from tests.help.samples.map_engines import SIDE, map_engines

FACES = 20
QUICK = ("--backend", "onnxruntime", "--threads", "1", "--rounds", "1")
PLOTS = ("latency", "throughput", "pareto", "scatter0", "scatter1", "ladders")


@dataclass(frozen=True)
class Run:
    """One run with engines and crops, and everything it wrote."""

    page: Path
    html: str
    document: dict[str, Any]
    engines: Mapping[Precision, Path]
    faces: Path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    engines, faces = map_engines(folder / "engines"), folder / "faces"
    (faces / "more").mkdir(parents=True)
    for index in range(FACES):
        picture = cv2.resize(seeded_image(index, 2 + index, 3 + index), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(faces / ("more" if index % 5 == 4 else "") / f"face {index:02}.png"), picture)
    named = [argument for path in engines.values() for argument in ("--engine", path)]
    outputs = ("--html", folder / "new/report.html", "--json", folder / "report.json")
    arguments = (*named, *QUICK, "--batch", "1,4", "--images", faces, *outputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["fiqa-bench", *map(str, arguments)])
        try:
            fiqa_benchmarks.cli.main()
        except SystemExit as stop:
            assert not stop.code
    page = folder / "new/report.html"
    return Run(
        page,
        page.read_text(encoding="utf-8"),
        json.loads((folder / "report.json").read_text(encoding="utf-8")),
        engines,
        faces,
    )


def numbers(run: Run, plot: str) -> list[list[str]]:
    """Rows of the table under a plot."""
    figure = run.html[run.html.index(f'id="plot-{plot}"') :]
    body = figure[figure.index("<tbody>") : figure.index("</tbody>")]
    return [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in body.split("</tr>") if "<th" in row]


def test_the_page_has_every_section_and_asks_nobody(run: Run) -> None:
    assert [f'id="plot-{name}"' in run.html for name in PLOTS] == [True] * len(PLOTS)
    for section in ("compared", "speed", "size", "scores", "worst", "maps", "ladders", "machine", "cards"):
        assert f'<section id="{section}"' in run.html, section
    assert "http://" not in run.html.replace("http://www.w3.org/", "") and "https://" not in run.html
    assert run.document["machine"]["cpu"] in run.html and run.document["versions"]["numpy"] in run.html
    assert run.html.count("drawn by a test") == len(run.engines), "a card for each"


def test_the_scatter_plots_hold_the_scores_of_the_files_and_mark_the_flips(run: Run) -> None:
    last = run.document["contenders"][-1]
    files = sorted(run.faces.rglob("*.png"))
    with Scorer(run.engines["int8"], "onnxruntime", 1) as scorer:
        scores = scorer.score([read_image(file) for file in files])
    names = [file.relative_to(run.faces).as_posix() for file in files]
    rows = numbers(run, "scatter1")
    assert {row[0]: row[2] for row in rows} == {name: f"{score:.5f}" for name, score in zip(names, scores, strict=True)}
    flips = last["batches"]["1"]["difference"]["score"]["flips"]["0.1"]
    assert [row[-1] for row in rows].count("flips") == round(flips * FACES) > 0
    assert "decision flips" in run.html[run.html.index('id="worst"') :]


def test_smaller_engines_stand_on_the_front(run: Run) -> None:
    rows = {row[0]: row for row in numbers(run, "pareto")}
    sizes = {path.name: path.stat().st_size for path in run.engines.values()}
    assert {name: row[1] for name, row in rows.items()} == {n: f"{s / 1e6:.2f}" for n, s in sizes.items()}
    assert sizes["map.int8.onnx"] < sizes["map.fp16.onnx"] < sizes["map.fp32.onnx"]
    assert {name: row[-1] for name, row in rows.items()} == {
        "map.fp32.onnx": "no",
        "map.fp16.onnx": "yes",
        "map.int8.onnx": "yes",
    }, "fp16 ranks as fp32 does and is smaller, int8 is smaller still"


def test_maps_stand_side_by_side_and_the_faces_carry_their_names(run: Run) -> None:
    maps = run.html[run.html.index('<section id="maps"') : run.html.index('<section id="ladders"')]
    groups = maps.split('<div class="maps"')[1:]
    assert len(groups) == 4
    for group in groups:
        assert group.count("<img") == 1 + len(run.engines)
        assert re.search(r'alt="(more/)?face \d\d\.png"', group)
        assert all(f"by {path.name}, mean" in group for path in run.engines.values())
    assert "seeded image" not in run.html


def test_ladders_are_means_over_the_crops(run: Run) -> None:
    rows = {(row[0], row[1]): [float(cell) for cell in row[2:]] for row in numbers(run, "ladders")}
    assert set(rows) == {(kind, path.name) for kind in KINDS for path in run.engines.values()}
    (faces,) = map(int, re.findall(r"Mean scores of (\d+) faces", run.html))
    assert 1 <= faces <= 8
    files = sorted(run.faces.rglob("*.png"))
    chosen = [read_image(files[index]) for index in np.linspace(0, FACES - 1, faces).round().astype(int)]
    made = list(ladders(chosen))
    assert len(made) == faces * PICTURES
    with Scorer(run.engines["fp32"], "onnxruntime", 1) as scorer:
        blurred = [image for rung, image in made if (rung.kind, rung.strength) == ("blur", 3)]
        assert rows["blur", "map.fp32.onnx"][3] == pytest.approx(scorer.score(blurred).mean(), abs=6e-5)
        assert rows["blur", "map.fp32.onnx"][0] == pytest.approx(scorer.score(chosen).mean(), abs=6e-5)


@pytest.mark.parametrize("width", [1200, 360])
def test_a_browser_draws_the_commands_page(run: Run, tmp_path: Path, width: int) -> None:
    with opened_browser(tmp_path / "profile") as browser:
        show(browser, run.page, width)
        assert browser.get_log("browser") == []
        for name in PLOTS:
            ink, coloured = drawn_colours(browser, name)
            assert 0.01 < ink < 0.5 and coloured > 20, name
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        top = "return [...document.querySelectorAll('.maps figure')].slice(0, 3).map(f => f.offsetTop)"
        assert len(set(browser.execute_script(top))) == 1, "a face and its first maps stand side by side"
        loaded = "return [...document.images].every(image => image.complete && image.naturalWidth > 0)"
        assert browser.execute_script(loaded)
        shot = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    (tmp_path / "report.png").write_bytes(base64.b64decode(shot["data"]))
    assert read_image(tmp_path / "report.png").std() > 10


def test_seeded_images_have_numbers_and_no_ladders(bench: Invoke, run: Run, tmp_path: Path) -> None:
    result = bench("--engine", run.engines["fp32"], run.engines["fp16"], *QUICK, "--html", tmp_path / "r.html")
    assert result.code == 0, result.err
    html = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "seeded image 0" in html and 'id="plot-ladders"' not in html


def test_crops_are_scored_once(bench: Invoke, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    whole = Scorer.outputs

    def outputs(self: Scorer, *arguments: Any) -> object:
        calls.append(self)
        return whole(self, *arguments)

    def count(*options: object) -> int:
        calls.clear()
        assert bench("--engine", run.engines["fp32"], run.engines["fp16"], *QUICK, *options).code == 0
        return len(calls)

    monkeypatch.setattr(Scorer, "outputs", outputs)
    at_once = [{step: Timing(((1.0,),)) for step in (NETWORK, END_TO_END)}] * 2
    monkeypatch.setattr("fiqa_benchmarks.speed.bench.measure", lambda *arguments: at_once)
    assert count("--html", tmp_path / "r.html") == count() > 0


def test_a_missing_package_is_told_before_anything_is_measured(
    bench: Invoke, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fiqa_benchmarks.runs.bench", lambda *arguments: pytest.fail("measured"))
    monkeypatch.setattr(fiqa_benchmarks.report.page, "find_spec", lambda package: None)
    result = bench("--engine", run.engines["fp32"], "--html", tmp_path / "r.html")
    assert result.is_one_line("--html needs jinja2", "fiqa-edge[bench]")


def test_page_cannot_be_written(bench: Invoke, run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = bench("--engine", run.engines["fp32"], "--rounds", "1", "--html", tmp_path / "file/report.html")
    assert result.is_one_line("choose a folder")

"""What the sections of the page hold: faces, maps, pictures and the numbers of a benchmark."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_benchmarks.contenders.crops import seeded_crops
from fiqa_benchmarks.contenders.peers import contenders
from fiqa_benchmarks.report import sections
from fiqa_benchmarks.report.page import write_report
from fiqa_benchmarks.speed.bench import bench as run_bench
from fiqa_benchmarks.speed.bench import bench_json
from fiqa_runtime.artefact.card import read_card, write_card
from fiqa_runtime.artefact.score_map import ScoreMap
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.agreement import agree


def test_long_lists_of_a_card_are_counted(seeded_engine: Path) -> None:
    score_map = ScoreMap((0.5,) * 300, (0.25,) * 300)
    card = replace(read_card(seeded_engine), score_map=score_map, max_batch=2)
    (shown,) = sections.cards({"x": card}).values()
    assert shown["score_map"] == {"fp32": "300 numbers", "artefact": "300 numbers"}
    assert "canaries" not in shown and shown["input"]["mean"] == [127.5] * 3


def test_worst_moved() -> None:
    crops = [seeded_image(index, 20, 20) for index in range(4)]
    scores = {"a": [0.1, 0.2, 0.3, 0.4], "b": [0.1, 0.2 + 1e-7, 0.05, 0.5]}
    found = sections.worst_moved(scores, "wxyz", crops.__getitem__)
    assert [(entry["image"], entry["flips"]) for entry in found] == [("y", True), ("z", False)]
    assert (found[0]["reference"], found[0]["score"]) == (0.3, 0.05)


def test_maps_that_moved_most_come_first() -> None:
    first = np.full((6, 8, 8), 0.5, np.float32)
    other = first + np.array([0, 0.3, 0.1, 0, 0.2, 0.4], np.float32)[:, None, None]
    rows = sections.map_rows({"a": first, "b": other}, [seeded_image(0, 8, 8)] * 6, "uvwxyz")
    assert [row["image"] for row in rows] == ["z", "v", "y", "w"]
    assert rows[0]["maps"]["b"]["max_abs"] == pytest.approx(0.4, abs=1e-6)
    assert rows[0]["maps"]["a"]["mean"] == pytest.approx(0.5)


def test_pictures_are_small_and_true() -> None:
    wide = np.full((300, 600, 3), (200, 40, 10), np.uint8)
    address = sections.picture(wide)
    assert address.startswith("data:image/jpeg;base64,")
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(address.split(",")[1]), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    assert decoded.shape == (80, 160, 3)
    assert np.abs(decoded.astype(int) - (200, 40, 10)).max() <= 4


def test_sections_of_a_real_benchmark(seeded_engine: Path, tmp_path: Path) -> None:
    entered = contenders([str(seeded_engine)], "onnxruntime", ["opencv"])
    crops = seeded_crops(read_card(seeded_engine).input, 4)
    results = run_bench(entered, crops, rounds=1, threads=1)
    found = sections.sections(results, crops, ["a", "b", "c", "d"])
    assert list(found["scores"]["engines"]) == [seeded_engine.name, "opencv"]
    assert found["scores"]["images"] == ["a", "b", "c", "d"]
    difference = bench_json(results)["contenders"][1]["batches"]["1"]["difference"]
    again = agree(*found["scores"]["engines"].values())
    assert again.max_abs == pytest.approx(difference["score"]["max_abs"], abs=1e-9)
    assert [(name, card["model"]) for name, card in found["cards"].items()] == [(seeded_engine.name, "ediffiqa-t")]
    assert "maps" not in found
    document = json.loads(json.dumps({**bench_json(results), **found}))
    write_report(document, tmp_path / "report.html")
    assert seeded_engine.name in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_engines_of_one_file_name_have_a_card_each(seeded_engine: Path, tmp_path: Path) -> None:
    other = Path(shutil.copy(seeded_engine, tmp_path))
    write_card(replace(read_card(seeded_engine), notes=("another",)), other)
    entered = contenders([str(seeded_engine), str(other)], "opencv", ["torch"])
    expected = {str(seeded_engine): list(read_card(seeded_engine).notes), str(other): ["another"]}
    crops = seeded_crops(read_card(seeded_engine).input, 2)
    speed = sections.sections(run_bench(entered[:2], crops, rounds=1, threads=1), crops, ["a", "b"])
    assert {name: card["notes"] for name, card in speed["cards"].items()} == expected

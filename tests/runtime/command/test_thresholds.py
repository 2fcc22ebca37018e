"""Thresholds as typed: on the artefact's own scale, found on one's own photos, kept and used again."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_runtime.command.threshold import find_threshold, read_share, threshold_path
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.commands import Invoke

COUNT = 40


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("many")
    for index in range(COUNT):
        cv2.imwrite(str(folder / f"{index:02}.png"), seeded_image(index, 112, 112))
    return folder


@pytest.fixture
def engine(seeded_engine: Path, tmp_path: Path) -> Path:
    """An artefact in a folder to which a threshold may be written."""
    for path in (seeded_engine, seeded_engine.with_name(f"{seeded_engine.name}.json")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / seeded_engine.name


def test_a_threshold_decides_on_the_artefacts_own_scale(score: Invoke, engine: Path, many: Path) -> None:
    arguments = (many, "--engine", engine, "--backend", "onnxruntime", "--aligned")
    document = json.loads(score(*arguments, "--threshold", "0.02", "--json", "-").out)
    assert document["threshold"] == 0.02
    assert all(image["accepted"] is (image["quality"] >= 0.02) for image in document["images"])
    below = sum(not image["accepted"] for image in document["images"])
    assert 0 < below < COUNT
    *_, last = score(*arguments, "--threshold", "0.02").out.splitlines()
    assert last.startswith(f"{COUNT} crops, {below} below 0.02, worst ")


def test_a_threshold_is_found_kept_and_used(score: Invoke, engine: Path, many: Path) -> None:
    arguments = (many, "--engine", engine, "--backend", "onnxruntime", "--aligned")
    found = score(*arguments, "--calibrate-threshold", "--reject", "5%")
    assert found.code == 0, found.err
    with Scorer(engine, "onnxruntime") as scorer:
        scores = np.sort(scorer.score([seeded_image(index, 112, 112) for index in range(COUNT)]))
    kept = json.loads(threshold_path(engine).read_text("utf-8"))
    assert kept["threshold"] == pytest.approx(scores[2], abs=1e-6)
    assert (kept["rejected"], kept["faces"]) == (0.05, COUNT)
    assert kept["interval"][0] <= kept["threshold"] <= kept["interval"][1]
    assert found.out.startswith(f"{scores[2]:.4f} rejects 5.0% of {COUNT} faces")
    document = json.loads(score(*arguments, "--threshold", "stored", "--json", "-").out)
    assert sum(not image["accepted"] for image in document["images"]) == 2


def test_a_kept_threshold_belongs_to_its_artefact(score: Invoke, engine: Path, many: Path) -> None:
    arguments = (many, "--engine", engine, "--backend", "onnxruntime", "--aligned", "--threshold", "stored")
    assert score(*arguments).is_one_line("no threshold is kept", "--calibrate-threshold --reject 5%")
    score(*arguments[:-2], "--calibrate-threshold", "--reject", "0.1")
    path = threshold_path(engine)
    kept = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**kept, "sha256": "0" * 64}))
    assert score(*arguments).is_one_line("is of another artefact", "calibrate again")
    for damage in (
        "{",
        "[]",
        "{}",
        json.dumps({**kept, "threshold": "high"}),
        json.dumps({**kept, "fiqa_threshold": 2}),
    ):
        path.write_text(damage)
        assert score(*arguments).is_one_line("is damaged", "calibrate again"), damage


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--threshold", "high"), "--threshold high is not a number; give one, or stored"),
        (("--threshold", "nan"), "give a finite number"),
        (("--threshold", "0.5", "--fp32-threshold", "0.5"), "--threshold makes no use of --fp32-threshold"),
        (("--calibrate-threshold",), "--reject SHARE go together"),
        (("--reject", "5%"), "go together"),
        (("--calibrate-threshold", "--reject", "5"), "--reject 5 is not a share"),
        (("--calibrate-threshold", "--reject", "0%"), "is not a share"),
        (("--calibrate-threshold", "--reject", "1%"), "40 faces are too few to reject 0.01 of them; give at least 100"),
        (("--calibrate-threshold", "--reject", "5%", "--json", "-"), "makes no use of --json"),
    ],
)
def test_bad_input(score: Invoke, engine: Path, many: Path, options: tuple[str, ...], says: str) -> None:
    result = score(many, "--engine", engine, "--backend", "onnxruntime", "--aligned", *options)
    assert result.is_one_line(says), result
    assert not threshold_path(engine).exists()


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.05", 0.05), (" 12.5 % ", 0.125), (".2", 0.2)])
def test_shares(text: str, share: float) -> None:
    assert read_share(text) == pytest.approx(share)


def test_at_most_the_share_is_rejected() -> None:
    for count in (20, 33, 100, 999):
        scores = np.random.default_rng(count).standard_normal(count).tolist()
        threshold = find_threshold(scores, 0.05)
        assert sum(score < threshold for score in scores) == count // 20
    with pytest.raises(InputError, match="give at least 20"):
        find_threshold([0.5] * 19, 0.05)

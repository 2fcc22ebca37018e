"""Thresholds carried from float32 scores to those of a reduced-precision artefact."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import cv2
import fiqa_runtime.cli
import numpy as np
import pytest
from fiqa_runtime.artefact.card import Card, card_path, read_card, write_card
from fiqa_runtime.artefact.score_map import KNOTS, ScoreMap
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from hypothesis import given
from hypothesis import strategies as st

from tests.help.commands import invoker

SCORES = st.lists(st.integers(-100, 100), min_size=2, max_size=40, unique=True)
THRESHOLDS = st.integers(-110, 110).map(lambda value: value + 0.5)


@given(SCORES, THRESHOLDS, st.integers(0, 2**32 - 1))
def test_same_share_is_rejected(scores: list[int], threshold: float, seed: int) -> None:
    fp32 = np.array(scores, np.float64)
    artefact = np.random.default_rng(seed).permutation(3 * fp32 + 1 + np.arange(fp32.size))
    carried = ScoreMap.between(fp32, artefact).threshold(threshold)
    assert (artefact < carried).sum() == (fp32 < threshold).sum()


@given(SCORES, THRESHOLDS, THRESHOLDS)
def test_is_monotone(scores: list[int], first: float, second: float) -> None:
    fp32 = np.array(scores, np.float64)
    mapped = ScoreMap.between(fp32, np.tanh(fp32 / 50))
    low, high = sorted((first, second))
    assert mapped.threshold(low) <= mapped.threshold(high)


def test_equal_scores_are_left_alone() -> None:
    scores = np.linspace(0.2, 0.8, 2000)
    same = ScoreMap.between(scores, scores)
    assert len(same.fp32) == KNOTS
    for threshold in (0.0, 0.2, 0.5, 0.79, 1.0):
        assert same.threshold(threshold) == pytest.approx(threshold, abs=1e-12)


def test_card_keeps_it(seeded_engine: Path) -> None:
    card = replace(read_card(seeded_engine), score_map=ScoreMap((0.0, 1.0), (0.5, 0.7)))
    assert Card.from_json(card.to_json(), "test") == card


def test_command_decides(
    seeded_engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A map that adds 10 carries every threshold 10 higher, so all crops fall below it; without one they are split."""
    engine = tmp_path / seeded_engine.name
    engine.write_bytes(seeded_engine.read_bytes())
    card_path(engine).write_bytes(card_path(seeded_engine).read_bytes())
    for index in range(4):
        cv2.imwrite(str(tmp_path / f"{index}.png"), seeded_image(index, 112, 112))
    score = invoker(fiqa_runtime.cli.main, capsys, monkeypatch)
    with Scorer(engine, "onnxruntime") as scorer:
        scores = np.sort(scorer.score([seeded_image(index, 112, 112) for index in range(4)]))
    middle = float(scores[1:3].mean())
    arguments = [*sorted(tmp_path.glob("*.png")), "--engine", engine, "--aligned", "--backend", "onnxruntime"]

    def accepted(file: Path) -> list[bool]:
        result = score(*arguments, "--fp32-threshold", middle, "--json", "-", "--csv", file)
        assert result.code == 0, result.err
        entries = json.loads(result.out)["images"]
        with file.open(encoding="utf-8", newline="") as stream:
            assert [row["accepted"] for row in csv.DictReader(stream)] == [str(entry["accepted"]) for entry in entries]
        return [entry["accepted"] for entry in entries]

    assert sorted(accepted(tmp_path / "a.csv")) == [False, False, True, True]
    write_card(replace(read_card(engine), score_map=ScoreMap((0.0, 1.0), (10.0, 11.0))), engine)
    assert accepted(tmp_path / "b.csv") == [False] * 4

"""`fast` arithmetic is judged by ranking and decisions on degraded faces, not by how far two numbers are apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.backends import open_backend
from fiqa_runtime.backends.base import Arrays, Inputs
from fiqa_runtime.scoring import fast
from fiqa_runtime.scoring.fast import FastVerdict, judge_fast
from fiqa_runtime.scoring.scorer import Scorer
from numpy.typing import NDArray

Change = Callable[[NDArray[np.float32]], NDArray[np.floating]]


class Less:
    """A backend with the outputs of another after `change`."""

    name = "less"

    def __init__(self, engine: Path, change: Change) -> None:
        self._backend, self._change = open_backend("onnxruntime", engine, read_card(engine), 1), change
        self.info = self._backend.info

    def run(self, inputs: Inputs) -> Arrays:
        return {k: np.asarray(self._change(v), np.float32) for k, v in self._backend.run(inputs).items()}

    def close(self) -> None:
        self._backend.close()


@pytest.fixture()
def judged(seeded_engine: Path, scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Change], str]]:
    monkeypatch.setattr(fast, "SECONDS", 0.0)  # one picture

    def judge(change: Change) -> str:
        with Scorer(seeded_engine, Less(seeded_engine, change)) as less:
            verdict = judge_fast(scorer, less)
        assert verdict.images == 36
        assert ("NOT kept" in str(verdict)) is not verdict.passed
        return str(verdict)

    yield judge


def test_scores_on_another_scale_keep_their_ranking(judged: Callable[[Change], str]) -> None:
    assert "is kept on 36 faces: SRCC 1.00000" in judged(lambda scores: scores)
    shifted = judged(lambda scores: np.round(scores.astype(np.float64) * 0.5, 7))
    assert "SRCC 1.00000 (at least 0.999)" in shifted
    assert "NOT kept" in shifted and "flips 0.00 %" not in shifted, "thresholds stay, so the decisions change"


def test_scores_in_another_order_are_refused(judged: Callable[[Change], str]) -> None:
    assert "NOT kept on 36 faces: SRCC -1.00000" in judged(lambda scores: -scores)


def test_what_is_not_a_number_is_refused(judged: Callable[[Change], str]) -> None:
    assert "NOT kept on 36 faces: SRCC nan" in judged(lambda scores: scores * np.nan)


@pytest.mark.parametrize(
    ("verdict", "passed"),
    [
        (FastVerdict(288, 0.999, 0.01), True),
        (FastVerdict(288, 0.9989, 0.0), False),
        (FastVerdict(288, 1.0, 0.011), False),
        (FastVerdict(288, math.nan, 0.0), False),
        (FastVerdict(288, None, None, {"map": 0.99}), True),
        (FastVerdict(288, 1.0, 0.0, {"map": 0.989}), False),
        (FastVerdict(288, 1.0, 0.0, {"map": math.nan}), False),
    ],
)
def test_budget(verdict: FastVerdict, passed: bool) -> None:
    assert verdict.passed is passed

"""The verdict: flips over few images and over two sets of them, and outputs that are not finite."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Literal

import numpy as np
import pytest
from fiqa_export.verdict.parity import Parity, compare, flip_failures
from fiqa_export.verdict.recipe import FP16, INT8
from fiqa_runtime.artefact.facts import Budget
from fiqa_runtime.artefact.spec import OutputSpec
from fiqa_runtime.scoring.agreement import Agreement, agree


def flipping(images: int, flipped: int) -> Agreement:
    """Scores 0, 1, ... of which the last accepted ones fall below all others."""
    reference = np.arange(images, dtype=np.float64)
    other = reference.copy()
    if flipped:
        other[-flipped:] = -1 - np.arange(flipped)
    found = agree(reference, other)
    assert round(found.flips[0.10] * images) == flipped
    return found


@pytest.mark.parametrize(
    ("sets", "fails"),
    [
        ([(100, 1)], False),
        ([(100, 2)], True),
        ([(20, 1)], False),
        ([(20, 2)], True),
        ([(300, 0), (100, 2)], False),
        ([(300, 2), (100, 2)], False),
        ([(300, 3), (100, 2)], True),
        ([], False),
    ],
)
def test_flips_are_counted_over_all_images_together(sets: list[tuple[int, int]], fails: bool) -> None:
    found = flip_failures([flipping(*counts) for counts in sets], Budget(srcc=0.995, flips=0.01))
    assert bool(found) == fails
    if fails:
        assert "of the decisions flip at 10 % rejection, allowed 1.00%" in found[0]


def test_budget_of_no_flips_allows_none() -> None:
    assert flip_failures([flipping(20, 1)], Budget(srcc=0.995, flips=0.0))
    assert not flip_failures([flipping(20, 0)], Budget(srcc=0.995, flips=0.0))


RNG = np.random.default_rng(0)
SCORES = [{"score": np.array([[score]], np.float32)} for score in (0.1, 0.4, 0.2, 0.8, 0.6)]
LANDMARKS = [{"landmarks": RNG.standard_normal((1, 68, 2)).astype(np.float32)} for _ in range(5)]


def verdict(expected: list[dict[str, np.ndarray]], changed: dict[int, np.ndarray], budget: Budget) -> Parity:
    """On `expected` itself, but for images that give something else."""
    (name,) = expected[0]
    kind: Literal["score", "landmarks"] = "score" if name == "score" else "landmarks"
    actual = [{name: changed.get(index, values[name])} for index, values in enumerate(expected)]
    return compare(expected, actual, [OutputSpec(name, kind)], budget)


@pytest.mark.parametrize("budget", [FP16.budget, INT8.budget])
@pytest.mark.parametrize("expected", [SCORES, LANDMARKS], ids=["score", "landmarks"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 2, 4])
def test_what_is_not_finite_fails(
    place: int, value: float, expected: list[dict[str, np.ndarray]], budget: Budget
) -> None:
    """Wherever it stands: NaN is neither smaller nor larger than other numbers."""
    assert verdict(expected, {}, budget).passed
    (output,) = expected[0].values()
    broken = np.full_like(output, value)
    found = verdict(expected, {place: broken}, budget)
    assert not found.passed
    assert "not finite, or of another shape, for 1 of 5 images" in found.failures[0]
    assert found.score is None
    assert all(np.isnan(r) for r in found.correlation.values())
    json.dumps(asdict(found.for_card()), allow_nan=False)


def test_another_shape_fails() -> None:
    found = verdict(LANDMARKS, {1: np.zeros((1, 5, 2), np.float32)}, INT8.budget)
    assert "of another shape, for 1 of 5 images" in found.failures[0]


def test_a_head_with_few_values_is_correlated_over_the_images() -> None:
    """One number per image has no correlation within the image."""
    heads = [{"points": RNG.standard_normal((1, 2)).astype(np.float32)} for _ in range(6)]
    outputs = (OutputSpec("points", "head"),)
    same = compare(heads, heads, outputs, INT8.budget)
    assert same.passed and same.correlation["points"] == pytest.approx(1)
    second = np.array([values["points"][0, 1] for values in heads])
    moved = [{"points": np.array([[v["points"][0, 0], other]])} for v, other in zip(heads, second[::-1], strict=True)]
    found = compare(heads, moved, outputs, INT8.budget)
    assert found.failures and found.correlation["points"] == pytest.approx(np.corrcoef(second, second[::-1])[0, 1])

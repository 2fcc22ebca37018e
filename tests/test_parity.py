"""The verdict on rankings: what a budget of flips means for few images, and for two sets of them."""

from __future__ import annotations

import numpy as np
import pytest
from fiqa_export.parity import flip_failures
from fiqa_export.recipe import Budget
from fiqa_runtime.agreement import Agreement, agree


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

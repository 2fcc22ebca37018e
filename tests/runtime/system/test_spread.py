"""Positions that lie evenly over a list."""

from __future__ import annotations

import pytest
from fiqa_runtime.system.spread import evenly


@pytest.mark.parametrize(
    ("count", "total", "positions"),
    [(3, 5, [0, 2, 4]), (1, 5, [0]), (2, 5, [0, 4]), (9, 4, [0, 1, 2, 3]), (4, 0, []), (0, 4, [])],
)
def test_evenly(count: int, total: int, positions: list[int]) -> None:
    assert evenly(count, total) == positions

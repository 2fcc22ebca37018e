"""A few of many: positions that lie evenly over a list."""

from __future__ import annotations

import numpy as np


def evenly(count: int, total: int) -> list[int]:
    """Positions of `count` of `total` things, or of all where there are fewer, evenly spread from the first to the
    last."""
    return [int(position) for position in np.linspace(0, total - 1, min(count, total)).round()]

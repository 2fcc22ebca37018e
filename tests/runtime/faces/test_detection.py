"""How much two boxes overlap."""

from __future__ import annotations

import numpy as np
from fiqa_runtime.faces.detection import intersection_over_union


def test_intersection_over_union() -> None:
    box = np.array([0.0, 0.0, 4.0, 2.0])
    others = np.array([[0, 0, 4, 2], [2, 0, 4, 2], [4, 0, 4, 2], [1, 1, 0, 0], [np.nan, 0, 4, 2]])
    assert intersection_over_union(box, others).tolist() == [1.0, 4 / 12, 0.0, 0.0, 0.0]
    empty = np.zeros(4)
    assert intersection_over_union(empty, empty[np.newaxis]).tolist() == [0.0]

"""How a network's own output becomes a score: in numpy here, and as nodes in the graphs that are exported."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.errors import ArtefactError

Reduce = Literal["none", "mean", "l2-norm", "expectation", "negate", "one-minus"]
"""`none`: as it is. `mean`: over everything but the batch. `l2-norm`: length of the vector, as MagFace's quality.
`expectation`: the sum of probabilities times the value of each bin. `negate` and `one-minus`: for outputs that are low
where the face is good."""
REDUCTIONS: tuple[Reduce, ...] = get_args(Reduce)


def reduced(
    values: NDArray[np.floating], reduce: Reduce, bins: tuple[float, ...] | None, name: str
) -> NDArray[np.float32]:
    """`values` (N, ...) as the output called `name`; one that is not reduced keeps its shape.

    Raises ArtefactError where the shape does not allow it.
    """
    flat = np.asarray(values, np.float32).reshape(len(values), -1)
    if reduce == "none":
        return np.asarray(values, np.float32)
    if reduce == "mean":
        return np.asarray(flat.mean(axis=1, keepdims=True), np.float32)
    if reduce == "l2-norm":
        return np.asarray(np.sqrt((flat * flat).sum(axis=1, keepdims=True)), np.float32)
    if reduce == "expectation":
        weights = np.asarray(bins, np.float32)
        if flat.shape[1] != len(weights):
            raise ArtefactError(f"'{name}' has {flat.shape[1]} bins and not the {len(weights)} of bins; correct bins")
        return np.asarray(flat @ weights[:, None], np.float32)
    return np.asarray(-flat if reduce == "negate" else 1 - flat, np.float32)

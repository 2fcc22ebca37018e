"""What a conversion does to the faces that a detector finds, read from its raw heads.

Heads are noise wherever there is no face, so their values alone say little: only cells that either network takes for a
face count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fiqa_runtime.yunet import HEADS, STRIDES
from numpy.typing import NDArray

SURE = 0.75
"""Score from which a cell counts as a face: neighbours of the best cell, which suppression drops, score less."""
EVERYWHERE = 0.05
"""A network that takes more than this share of all cells for faces is not trained: its faces mean nothing."""
IOU = 0.9
"""Smallest overlap of the two boxes of one cell."""
SCORE = 0.05
"""Largest difference of the two scores of one cell."""

Heads = Mapping[str, NDArray[np.float32]]
Cells = NDArray[Any]


def face_failures(expected: Sequence[Heads], actual: Sequence[Heads]) -> tuple[str, ...] | None:
    """One line for each way in which the faces differ; None where the reference finds none, or faces everywhere.

    Both are YuNet's outputs by name, (1, cells, C), image by image.
    """
    if not expected or any(name not in expected[0] for name in HEADS):
        return None
    overlaps, differences, found, cells = [np.ones(1)], [np.zeros(1)], 0, 0
    for heads, others in zip(expected, actual, strict=True):
        for stride in STRIDES:
            (score, box), (other_score, other_box) = _cells(heads, stride), _cells(others, stride)
            face = score >= SURE
            found, cells = found + int(face.sum()), cells + face.size
            new = other_score >= SURE
            differences.append(np.abs(np.nan_to_num(other_score, nan=np.inf) - score)[face | new])
            overlaps.append(_overlap(box[face], other_box[face]))
    if not 0 < found <= EVERYWHERE * cells:
        return None
    worst, least = float(np.concatenate(differences).max()), float(np.concatenate(overlaps).min())
    lines = []
    if not worst <= SCORE:
        lines.append(f"a face's score moves by {worst:.3f}, allowed {SCORE}")
    if not least >= IOU:
        lines.append(f"a face's box overlaps with the reference's by {least:.2f}, wanted {IOU}")
    return tuple(lines)


def _cells(heads: Heads, stride: int) -> tuple[Cells, Cells]:
    """Scores (cells,) and boxes (cells, 4) as centre and size, in cells, relative to each cell's own corner."""
    cls, obj, bbox = (heads[f"{kind}_{stride}"][0].astype(np.float64) for kind in ("cls", "obj", "bbox"))
    score = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))[:, 0]
    return score, np.hstack([bbox[:, :2], np.exp(bbox[:, 2:])])


def _overlap(a: Cells, b: Cells) -> Cells:
    """Intersection over union of boxes (N, 4), pair by pair; 0 where one is not finite."""
    low = np.maximum(a[:, :2] - a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2)
    high = np.minimum(a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2)
    common: Cells = np.clip(high - low, 0, None).prod(axis=1)
    union: Cells = a[:, 2:].prod(axis=1) + b[:, 2:].prod(axis=1) - common
    return np.asarray(np.nan_to_num(common / union, nan=0.0))

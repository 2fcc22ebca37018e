"""What a conversion does to the faces that a trained detector finds.

Heads are noise wherever there is no face, so their values alone say little. What the runtime makes of them counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from fiqa_runtime.faces.detection import intersection_over_union
from fiqa_runtime.faces.detector import CONFIDENCE
from fiqa_runtime.faces.yunet import HEADS, STRIDES, Rows, YunetDecoder
from numpy.typing import NDArray

IOU = 0.9
"""Smallest overlap of the two boxes of one face."""
SCORE = 0.05
"""Largest difference of the two scores of one face: one that is no surer than this may come or go."""
SAME = 0.5
"""Overlap from which two boxes are those of one face."""
NMS, EVERY_CELL = 0.3, 1.0
"""Largest overlap of two faces: the runtime's, and one that lets every cell of a face stand."""

Heads = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Faces:
    """The faces of a reference beside those of an artefact, over all images."""

    found: int
    """Faces of the reference that it is sure of."""
    lost: int
    """Those of them that the artefact does not find."""
    new: int
    """Faces that the artefact is sure of and the reference does not find."""
    iou: float
    """Least overlap of a face's two boxes, intersection over union."""
    score: float
    """Largest |d| of a face's two scores, which are 0..1."""

    @property
    def failures(self) -> tuple[str, ...]:
        """One line for each way in which the faces differ."""
        lines = []
        if self.lost or self.new:
            lines.append(f"of {self.found} faces {self.lost} are lost, and {self.new} are new")
        if self.iou < IOU:
            lines.append(f"a face's box overlaps with the reference's by {self.iou:.2f}, wanted {IOU}")
        if self.score > SCORE:
            lines.append(f"a face's score moves by {self.score:.3f}, allowed {SCORE}")
        return tuple(lines)


def compare_faces(expected: Sequence[Heads], actual: Sequence[Heads]) -> Faces | None:
    """Hold the faces of an artefact (`actual`) against the reference's (`expected`), image by image.

    Both are YuNet's outputs by name, (1, cells, C), of square images. None where they are no detector's, or where the
    reference finds no face. Of the cells that see one face the surest gives its box; which one is chance where two are
    as sure, so a box is compared with the nearest of any cell, and a score with that of the surest.
    """
    if not expected or any(name not in expected[0] for name in HEADS):
        return None
    found = lost = new = 0
    overlaps, moves = [1.0], [0.0]
    for heads, others in zip(expected, actual, strict=True):
        pairs, missing = _pairs(_rows(heads), _rows(others, EVERY_CELL))
        back, unknown = _pairs(_rows(others), _rows(heads, EVERY_CELL))
        found, lost, new = found + len(pairs) + missing, lost + missing, new + unknown
        overlaps += [overlap for overlap, _ in pairs + back]
        moves += [move for _, move in pairs + back]
    return Faces(found, lost, new, min(overlaps), max(moves)) if found else None


def _rows(heads: Heads, nms: float = NMS) -> Rows:
    side = math.isqrt(heads[f"cls_{STRIDES[0]}"].shape[1]) * STRIDES[0]
    return YunetDecoder(lambda _: heads, CONFIDENCE, nms).rows(np.zeros((side, side, 3), np.uint8))


def _pairs(faces: Rows, others: Rows) -> tuple[list[tuple[float, float]], int]:
    """For the sure ones of `faces` overlap with the nearest of `others`, |d score|, and how many have no such."""
    pairs, missing = [], 0
    for face in faces[faces[:, -1] >= CONFIDENCE + SCORE].astype(np.float64):
        overlaps = intersection_over_union(face[:4], others[:, :4])
        if overlaps.max(initial=0.0) < SAME:
            missing += 1
        else:
            surest = others[overlaps >= SAME, -1].max()
            pairs.append((float(overlaps.max()), abs(float(face[-1] - surest))))
    return pairs, missing

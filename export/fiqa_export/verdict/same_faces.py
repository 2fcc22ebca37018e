"""Compares the faces that a trained detector finds before and after a conversion.

A detector's heads are noise wherever there is no face, so their values alone say little. The faces that the runtime
decodes from them count.
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
"""Smallest overlap that the two boxes of one face must have."""
SCORE = 0.05
"""Largest difference that the two scores of one face may have. A face whose score is within this of the threshold may
appear or vanish."""
SAME = 0.5
"""Overlap from which two boxes belong to one face."""
NMS, EVERY_CELL = 0.3, 1.0
"""Largest overlap of two detections: that of the runtime, and one that keeps the detection of every cell that sees a
face."""

Heads = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Faces:
    """The faces of a reference beside those of an artefact, over all images."""

    found: int
    """Number of faces that the reference is sure of."""
    lost: int
    """Number of these that the artefact does not find."""
    new: int
    """Number of faces that the artefact is sure of and the reference does not find."""
    iou: float
    """Smallest overlap of a face's two boxes, as intersection over union."""
    score: float
    """Largest difference of a face's two scores, which are 0..1."""

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
    """Compare the faces of an artefact (`actual`) with those of the reference (`expected`), image by image.

    Both are YuNet's outputs by name, (1, cells, C), of square images. None where the outputs are not those of a
    detector, or where the reference finds no face. Several cells see one face, and the surest gives its box. Where two
    are equally sure it is chance which one wins; so a box is compared with the nearest box of any cell, and a score
    with that of the surest cell.
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
    """Overlap with the nearest of `others`, and difference of the scores, of each sure one of `faces`; and the number
    of those without a counterpart."""
    pairs, missing = [], 0
    for face in faces[faces[:, -1] >= CONFIDENCE + SCORE].astype(np.float64):
        overlaps = intersection_over_union(face[:4], others[:, :4])
        if overlaps.max(initial=0.0) < SAME:
            missing += 1
        else:
            surest = others[overlaps >= SAME, -1].max()
            pairs.append((float(overlaps.max()), abs(float(face[-1] - surest))))
    return pairs, missing

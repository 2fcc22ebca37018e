"""MTCNN's cascade: three networks, one after the other, turn a photo into faces with five landmarks.

The first network looks for faces in a pyramid of ever smaller copies of the photo. The second and the third look at
what the one before proposes, and keep the surer part of it. Steps, rounding and order are those of facenet-pytorch,
since published preprocessing uses it. Source: Zhang, Zhang, Li, Qiao, IEEE SPL 2016, and the behaviour of
facenet-pytorch 2.6.

Boxes are float32 (N, 4): left, top, right, bottom in pixels of the photo. Scores are float32 (N,), 0..1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.images.preprocess import Image, tensor
from fiqa_runtime.images.resample import AreaSums

Floats = NDArray[np.float32]
Run = Callable[[Floats], Arrays]
"""float32 (N, 3, H, W), normalised -> `probability`, `offsets` and, from the third network, `points`."""
Overlap = Callable[[Floats, Floats], Floats]
"""One box (4,) and others (N, 4) -> how much of each is one with the first, 0..1."""

CELL, STRIDE = 12, 2
"""Side of the square that the first network judges at once, and the distance of two such squares, in pixels."""
SAME_IN_COPY, SAME = 0.5, 0.7
"""Overlap above which two boxes are one face: among those of one copy, and from then on."""


@dataclass(frozen=True)
class Stage:
    """One of the three networks."""

    run: Run
    input: InputSpec
    """How it is fed."""
    least: float
    """Probability that it has to give a face."""


@dataclass(frozen=True)
class Cascade:
    """The three networks, and the pyramid that the first one sees."""

    first: Stage
    second: Stage
    third: Stage
    smallest: float
    """Side of the smallest face that is looked for, in pixels of the photo."""
    factor: float
    """Side of a copy of the pyramid as a share of the next larger one."""

    def faces(self, photo: Image) -> tuple[Floats, Floats, Floats]:
        """Boxes, scores and landmarks (N, 5, 2) of the faces of a uint8 BGR photo (H, W, 3), highest score first."""
        sums = AreaSums(photo)
        boxes = self._propose(sums)
        boxes, scores, outputs = _look(self.second, sums, boxes)
        kept = suppress(boxes, scores, SAME, share_of_union)
        boxes = squared(_moved(boxes[kept], outputs["offsets"][kept], 1))
        boxes, scores, outputs = _look(self.third, sums, boxes)
        x, y = outputs["points"].reshape(-1, 2, 5).transpose(1, 0, 2)
        sides = boxes[:, 2:] - boxes[:, :2] + 1
        landmarks = np.stack(
            [
                sides[:, :1] * x + boxes[:, :1] - 1,
                sides[:, 1:] * y + boxes[:, 1:2] - 1,
            ],
            axis=2,
        )
        boxes = _moved(boxes, outputs["offsets"], 1)
        kept = suppress(boxes, scores, SAME, share_of_smaller)
        return boxes[kept], scores[kept], landmarks[kept]

    def _propose(self, sums: AreaSums) -> Floats:
        """Squares of the photo that the first network takes for faces."""
        found = [self._in_copy(sums, scale) for scale in self._scales(*sums.size)]
        if not found:
            return np.empty((0, 4), np.float32)
        boxes, scores, offsets = (np.concatenate(parts) for parts in zip(*found, strict=True))
        kept = suppress(boxes, scores, SAME, share_of_union)
        return squared(_moved(boxes[kept], offsets[kept], 0))

    def _scales(self, height: int, width: int) -> Iterator[float]:
        scale = CELL / self.smallest
        while min(height, width) * scale >= CELL:
            yield scale
            scale *= self.factor

    def _in_copy(self, sums: AreaSums, scale: float) -> tuple[Floats, Floats, Floats]:
        """Boxes, scores and offsets (N, 4) that the first network sees in one copy."""
        height, width = sums.size
        copy = sums.resized(int(height * scale + 1), int(width * scale + 1))
        outputs = self.first.run(tensor([copy], self.first.input))
        probability = outputs["probability"][0, 0]
        rows, columns = np.nonzero(probability >= self.first.least)
        scores = probability[rows, columns]
        corner = np.stack([columns, rows], axis=1).astype(np.float32) * STRIDE
        boxes = np.floor(np.hstack([corner + 1, corner + CELL]) / np.float32(scale))
        kept = suppress(boxes, scores, SAME_IN_COPY, share_of_union)
        return boxes[kept], scores[kept], outputs["offsets"][0, :, rows, columns].reshape(-1, 4)[kept]


def _look(stage: Stage, sums: AreaSums, boxes: Floats) -> tuple[Floats, Floats, Arrays]:
    """The boxes of which `stage` is sure, their scores, and its outputs for them."""
    side = stage.input.height
    assert side is not None
    parts = _parts(boxes, *sums.size)
    seen = (parts[:, 2] > parts[:, 0]) & (parts[:, 3] > parts[:, 1])
    boxes, parts = boxes[seen], parts[seen]
    crops = [sums.resized(side, side, top, left, bottom, right) for left, top, right, bottom in parts.tolist()]
    outputs = stage.run(tensor(crops, stage.input) if crops else np.empty((0, 3, side, side), np.float32))
    scores = outputs["probability"][:, 0]
    sure = scores > stage.least
    return boxes[sure], scores[sure], {name: values[sure] for name, values in outputs.items()}


def _parts(boxes: Floats, height: int, width: int) -> NDArray[np.int64]:
    """Left, top, right and bottom of what lies within the photo, in whole pixels, the last two exclusive.

    The first pixel has the number 1 in MTCNN's boxes.
    """
    whole = np.trunc(boxes).astype(np.int64)
    start = np.maximum(whole[:, :2], 1) - 1
    return np.hstack([start, np.minimum(whole[:, 2:], (width, height))])


def _moved(boxes: Floats, offsets: Floats, more: int) -> Floats:
    """`boxes` with each side moved by its offset times the box's size, which counts `more` pixels more than the
    distance of its sides."""
    sizes = boxes[:, 2:] - boxes[:, :2] + np.float32(more)
    return np.asarray(boxes + offsets * np.tile(sizes, 2), np.float32)


def squared(boxes: Floats) -> Floats:
    """The squares about the centres of `boxes` that have their longer sides."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    side = sizes.max(axis=1, keepdims=True, initial=0)
    corner = boxes[:, :2] + sizes * np.float32(0.5) - side * np.float32(0.5)
    return np.hstack([corner, corner + side])


def suppress(boxes: Floats, scores: Floats, most: float, overlap: Overlap) -> NDArray[np.intp]:
    """Positions of the boxes that overlap with no surer one by more than `most`, highest score first."""
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(int(best))
        left = left[overlap(boxes[best], boxes[left]) <= most]
    return np.array(kept, np.intp)


def share_of_union(box: Floats, others: Floats) -> Floats:
    """Intersection over union of `box` with each of `others`."""
    common = _common(box, others, 0)
    return np.asarray(common / (_area(box[None], 0) + _area(others, 0) - common), np.float32)


def share_of_smaller(box: Floats, others: Floats) -> Floats:
    """Intersection of `box` with each of `others` over the area of the smaller one; sides count their last pixel."""
    return np.asarray(_common(box, others, 1) / np.minimum(_area(box[None], 1), _area(others, 1)), np.float32)


def _common(box: Floats, others: Floats, more: int) -> Floats:
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    return np.asarray(np.clip(high - low + np.float32(more), 0, None).prod(axis=1), np.float32)


def _area(boxes: Floats, more: int) -> Floats:
    return np.asarray((boxes[:, 2:] - boxes[:, :2] + np.float32(more)).prod(axis=1), np.float32)

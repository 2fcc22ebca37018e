"""YuNet's twelve head outputs -> faces, the same as OpenCV's FaceDetectorYN makes of them.

For files that FaceDetectorYN cannot load. Source: Wu, Peng, Yu, Machine Intelligence Research 2023, and the
behaviour of OpenCV's `FaceDetectorYN` and `NMSBoxes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.errors import ArtefactError
from fiqa_runtime.images.preprocess import Image, network_input

Rows = NDArray[np.float32]
"""(N, 15): x, y, width, height, five landmarks x, y, score; pixels of the image."""
Heads = Mapping[str, NDArray[np.float32]]
Run = Callable[[NDArray[np.float32] | NDArray[np.uint8]], Heads]
"""float32 (1, 3, H, W) or raw uint8 (1, H, W, 3), BGR 0..255, H and W multiples of 32 -> head outputs (1, cells, C)
by name."""

STRIDES = (8, 16, 32)
HEADS = tuple(output.name for output in MODELS["yunet-s"].outputs)


class YunetDecoder:
    """A YuNet network behind any `run`, with FaceDetectorYN's decoding and selection."""

    def __init__(
        self,
        run: Run,
        min_confidence: float = 0.6,
        nms: float = 0.3,
        top_k: int = 5000,
        spec: InputSpec = MODELS["yunet-s"].input,
    ) -> None:
        """`spec`: what `run` takes; it may be `raw`."""
        self._run = run
        self._spec = spec
        self._min_confidence = np.float32(min_confidence)
        self._nms = np.float32(nms)
        self._top_k = top_k

    def rows(self, image: Image) -> Rows:
        """Faces of a uint8 BGR image of any size, (N, 15), highest score first.

        Raises ArtefactError where the network's outputs are not YuNet's.
        """
        blob = network_input([image], self._spec)
        heads = self._run(blob)
        missing = [name for name in HEADS if name not in heads]
        if missing:
            raise ArtefactError(f"the detector has no output {missing[0]}: it is not a YuNet; name a YuNet file")
        rows = decode(heads, blob.shape[2 if self._spec.raw else 3], self._min_confidence)
        return select(rows, self._min_confidence, self._nms, self._top_k)


def decode(heads: Heads, width: int, min_confidence: np.float32) -> Rows:
    """The cells that score at least `min_confidence`, strides 8, 16, 32 in turn, row by row.

    `width` is that of the padded network input. A cell's reference point is its top left corner.
    """
    found = []
    for stride in STRIDES:
        cls, obj, bbox, kps = (heads[f"{kind}_{stride}"][0] for kind in ("cls", "obj", "bbox", "kps"))
        score = np.sqrt(np.clip(cls, 0, 1) * np.clip(obj, 0, 1))[:, 0]
        cells = np.flatnonzero(score >= min_confidence)
        corner = np.stack([cells % (width // stride), cells // (width // stride)], axis=1).astype(np.float32)
        centre = (corner + bbox[cells, :2]) * stride
        size = np.exp(bbox[cells, 2:]) * stride
        points = (np.tile(corner, 5) + kps[cells]) * stride
        found.append(np.hstack([centre - size / 2, size, points, score[cells, None]]))
    return np.concatenate(found).astype(np.float32)


def select(rows: Rows, min_confidence: np.float32, nms: np.float32, top_k: int) -> Rows:
    """Non-maximum suppression in OpenCV's way: on boxes cut to integers, IoU compared in float32."""
    if len(rows) <= 1:
        return rows
    rows = rows[rows[:, 14] > min_confidence]
    rows = rows[np.argsort(-rows[:, 14], kind="stable")][:top_k]
    boxes = np.trunc(rows[:, :4].astype(np.float64))
    kept: list[int] = []
    left = np.arange(len(rows))
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[_iou(boxes[best], boxes[left]) <= nms]
    return rows[kept]


def _iou(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float32]:
    """Intersection over union of (4,) with (N, 4), x, y, width, height; 1 where neither has an area."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    areas = box[2:].prod() + others[:, 2:].prod(axis=1)
    distance = np.where(areas > 0, 1 - common / np.where(areas > 0, areas - common, 1), 0)
    return (1 - distance.astype(np.float32)).astype(np.float32)

"""YuNet's outputs to faces: suppression is OpenCV's, to the last bit of its arithmetic."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from fiqa_runtime.errors import ArtefactError
from fiqa_runtime.faces.yunet import YunetDecoder, select
from fiqa_runtime.images.seeded import seeded_image


def test_outputs_of_another_network_are_refused() -> None:
    decoder = YunetDecoder(lambda blob: {"score": np.asarray(blob, np.float32)})
    with pytest.raises(ArtefactError, match="no output cls_8"):
        decoder.rows(seeded_image(0, 32, 32))


def rows_of(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.hstack([boxes, np.zeros((len(boxes), 10)), scores[:, None]]).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("top_k", [5000, 40])
def test_suppression_is_opencvs(seed: int, top_k: int) -> None:
    stream = np.random.default_rng(seed)
    boxes = np.hstack([stream.uniform(-20, 60, (200, 2)), stream.uniform(0, 40, (200, 2))])
    scores = stream.permutation(200) / 200
    kept = select(rows_of(boxes, scores), np.float32(0.1), np.float32(0.3), top_k)
    expected = cv2.dnn.NMSBoxes(np.trunc(boxes).tolist(), scores.tolist(), 0.1, 0.3, top_k=top_k)
    np.testing.assert_array_equal(kept[:, 14], scores[np.asarray(expected).ravel()].astype(np.float32))


def test_suppression_compares_integer_boxes_in_single_precision() -> None:
    tie = np.array([[0.9, 0, 13, 1], [0, 0, 3.9, 1], [0, 5, 0.9, 0.9], [7, 7, 0.5, 0.5]])
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    kept = select(rows_of(tie, scores), np.float32(0.5), np.float32(3 / 13), 5000)
    np.testing.assert_allclose(kept[:, 14], [0.9, 0.8, 0.7])


def test_a_score_at_the_threshold_is_kept_only_when_it_is_alone() -> None:
    box = np.array([[0, 0, 10, 10], [50, 50, 10, 10]])
    scores = np.array([0.5, 0.9])
    level, nms = np.float32(0.5), np.float32(0.3)
    assert len(select(rows_of(box[:1], scores[:1]), level, nms, 5000)) == 1
    np.testing.assert_allclose(select(rows_of(box, scores), level, nms, 5000)[:, 14], [0.9])

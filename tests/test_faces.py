"""Detector heads judged by the faces they give."""

from __future__ import annotations

import numpy as np
import pytest
from fiqa_export.faces import face_failures
from fiqa_export.parity import compare
from fiqa_export.recipe import INT8
from fiqa_runtime.zoo import MODELS

CELLS = {8: 400, 16: 100, 32: 25}


def heads(score: float = 0.9, size: float = 1.0, faces: int = 1) -> dict[str, np.ndarray]:
    """Noise everywhere, and at the first cells of stride 8 faces with this score and this side (in cells)."""
    stream = np.random.default_rng(0)
    found = {}
    for stride, cells in CELLS.items():
        for kind, channels in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            noise = stream.uniform(0, 0.1, (1, cells, channels))
            found[f"{kind}_{stride}"] = noise.astype(np.float32)
    for kind in ("cls", "obj"):
        found[f"{kind}_8"][0, :faces] = score
    found["bbox_8"][0, :faces] = [0.5, 0.5, np.log(size), np.log(size)]
    return found


def noisy(outputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same faces; everything else drawn anew."""
    stream = np.random.default_rng(1)
    changed = {name: stream.uniform(0, 0.1, values.shape).astype(np.float32) for name, values in outputs.items()}
    for kind in ("cls", "obj", "bbox"):
        changed[f"{kind}_8"][0, :1] = outputs[f"{kind}_8"][0, :1]
    return changed


def test_noise_where_no_face_is_does_not_count() -> None:
    assert face_failures([heads()], [noisy(heads())]) == ()
    verdict = compare([heads()], [noisy(heads())], MODELS["yunet-s"].outputs, INT8.budget)
    assert verdict.passed
    assert min(verdict.correlation.values()) < 0.5


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (heads(score=0.84), "score moves by 0.060"),
        (heads(score=0.1), "score moves"),
        (heads(score=float("nan")), "score moves by inf"),
        (heads(size=1.1), "overlaps with the reference's by 0.83"),
    ],
)
def test_changed_faces_fail(other: dict[str, np.ndarray], message: str) -> None:
    failures = face_failures([heads()], [other])
    assert failures is not None
    assert any(message in line for line in failures)


def test_new_face_fails() -> None:
    failures = face_failures([heads()], [heads(faces=2)])
    assert failures is not None
    assert "score moves" in failures[0]


@pytest.mark.parametrize("reference", [heads(score=0.1), heads(faces=100)])
def test_reference_without_faces_or_with_faces_everywhere_is_judged_by_correlation(
    reference: dict[str, np.ndarray],
) -> None:
    assert face_failures([reference], [noisy(reference)]) is None
    verdict = compare([reference], [noisy(reference)], MODELS["yunet-s"].outputs, INT8.budget)
    assert any("correlation" in line for line in verdict.failures)


def test_outputs_of_no_detector() -> None:
    score = [{"score": np.ones((1, 1), np.float32)}]
    assert face_failures(score, score) is None
    assert face_failures([], []) is None

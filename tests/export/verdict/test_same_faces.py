"""A trained detector is judged by the faces it finds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fiqa_export.verdict.parity import compare
from fiqa_export.verdict.recipe import INT8
from fiqa_export.verdict.same_faces import Faces, compare_faces
from fiqa_runtime.artefact.facts import FaceAgreement
from fiqa_runtime.artefact.zoo import MODELS

CELLS = {8: 400, 16: 100, 32: 25}
HEADS = MODELS["yunet-s"].outputs
TRAINED = INT8.budget_for("official")


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
    assert compare_faces([heads()], [noisy(heads())]) == Faces(found=1, lost=0, new=0, iou=1.0, score=0.0)
    verdict = compare([heads()], [noisy(heads())], HEADS, TRAINED)
    assert verdict.passed
    assert verdict.for_card().faces == FaceAgreement(found=1, lost=0, new=0, iou=1.0, score=0.0)
    assert min(verdict.correlation.values()) < 0.5


@pytest.mark.parametrize(
    ("other", "faces", "message"),
    [
        (heads(score=0.84), Faces(1, 0, 0, 1.0, 0.06), "score moves by 0.060"),
        (heads(score=0.59), Faces(1, 1, 0, 1.0, 0.0), "of 1 faces 1 are lost"),
        (heads(score=float("nan")), Faces(1, 1, 0, 1.0, 0.0), "of 1 faces 1 are lost"),
        (heads(size=1.1), Faces(1, 0, 0, 1 / 1.21, 0.0), "overlaps with the reference's by 0.83"),
        (heads(size=1.5), Faces(1, 1, 1, 1.0, 0.0), "1 are lost, and 1 are new"),
        (heads(size=1e30), Faces(1, 1, 1, 1.0, 0.0), "1 are lost, and 1 are new"),
        (heads(faces=3), Faces(1, 0, 2, 1.0, 0.0), "0 are lost, and 2 are new"),
    ],
)
def test_changed_faces_fail(other: dict[str, np.ndarray], faces: Faces, message: str) -> None:
    found = compare_faces([heads()], [other])
    assert found is not None
    assert vars(found) == pytest.approx(vars(faces), abs=1e-6)
    assert any(message in line for line in found.failures)
    assert not compare([heads()], [other], HEADS, TRAINED).passed


def test_face_near_the_threshold_may_come_and_go_but_not_by_much() -> None:
    unsure, gone, sure = heads(score=0.64), heads(score=0.59), heads(score=0.72)
    for others in ((unsure, gone), (gone, unsure)):
        faces = compare_faces([heads(), others[0]], [heads(), others[1]])
        assert faces == Faces(1, 0, 0, 1.0, 0.0)
    faces = compare_faces([heads(), unsure], [heads(), sure])
    assert faces is not None
    assert faces.failures == ("a face's score moves by 0.080, allowed 0.05",)


def test_another_cell_of_the_face_may_win() -> None:
    """Two cells see one face, as boxes that overlap by 0.6; the artefact is as sure of the second."""
    one, other = heads(), heads()
    for outputs, score in ((one, 0.899), (other, 0.901)):
        outputs["bbox_8"][0, 1] = [-0.25, 0.5, 0, 0]
        outputs["cls_8"][0, 1] = outputs["obj_8"][0, 1] = score
    faces = compare_faces([one], [other])
    assert faces is not None
    assert vars(faces) == pytest.approx(vars(Faces(1, 0, 0, 1.0, 0.001)), abs=1e-5)
    other["cls_8"][0, 0] = other["obj_8"][0, 0] = 0.7
    faces = compare_faces([one], [other])
    assert faces is not None
    assert vars(faces) == pytest.approx(vars(Faces(1, 0, 0, 1.0, 0.001)), abs=1e-5)
    other["cls_8"][0, 0] = other["obj_8"][0, 0] = 0
    faces = compare_faces([one], [other])
    assert faces is not None
    assert faces.iou == pytest.approx(0.6)


def test_faces_are_judged_where_heads_correlate_too() -> None:
    """One face among 1575 numbers: heads correlate by more than asked though its box is another."""
    reference, other = heads(), heads()
    other["bbox_8"][0, 0, :2] += 0.1
    verdict = compare([reference], [other], HEADS, replace(TRAINED, correlation=0.5))
    assert min(verdict.correlation.values()) > 0.5
    assert verdict.failures == ("a face's box overlaps with the reference's by 0.68, wanted 0.9",)


def test_reference_without_faces_is_judged_by_correlation() -> None:
    reference = heads(score=0.5)
    assert compare_faces([reference], [noisy(reference)]) is None
    verdict = compare([reference], [noisy(reference)], HEADS, TRAINED)
    assert any("correlation" in line for line in verdict.failures)


def test_faces_of_seeded_weights_are_not_asked() -> None:
    verdict = compare([heads()], [heads(score=0.84)], HEADS, INT8.budget_for("seeded"))
    assert verdict.passed
    assert verdict.faces is None
    assert not compare([heads()], [noisy(heads())], HEADS, INT8.budget_for("seeded")).passed


def test_outputs_of_no_detector() -> None:
    score = [{"score": np.ones((1, 1), np.float32)}]
    assert compare_faces(score, score) is None
    assert compare_faces([], []) is None

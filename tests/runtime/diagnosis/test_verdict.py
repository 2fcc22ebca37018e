"""Diagnosis: every planted fault is named, on crops and on photos; agreement and riddles are told too."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_runtime.artefact.spec import Resize
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.diagnosis.hypotheses import Hypothesis, feed_hypotheses
from fiqa_runtime.diagnosis.trials import Trials, try_crops, try_photos
from fiqa_runtime.diagnosis.verdict import Diagnosis, diagnose
from fiqa_runtime.errors import InputError, UnsupportedError
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.samples.feeds import CROPS, PLANTED, Image, half, planted, rgb

NARROW = np.array([[30.2946, 51.6963], [65.5318, 51.5014], [48.0252, 71.7366], [33.5493, 92.3655], [62.7299, 92.2041]])
"""As spec/alignment.md has it."""


@pytest.fixture(scope="module")
def trials(scorer: Scorer, crops: list[Path]) -> Trials:
    return try_crops(scorer, crops)


def told(trials: Trials, reference: np.ndarray) -> Diagnosis:
    return diagnose(reference, trials.telling)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_fault_planted_on_crops_is_named(scorer: Scorer, crops: list[Path], trials: Trials, fault: str) -> None:
    pipeline, says = PLANTED[fault]
    found = told(trials, planted(scorer, [read_image(path) for path in crops], pipeline))
    assert found.outcome == "fault"
    assert str(found).startswith(says), found
    assert "do not tell" not in str(found)
    best = min(found.findings, key=lambda finding: finding.residual)
    assert best.residual < 1e-3 * found.spread or best.residual < 1e-5
    assert found.findings[0].fault == "none" and found.findings[0].residual > 20 * best.residual


@pytest.mark.parametrize("resize", ["pillow-bicubic", "opencv-bilinear", "opencv-cubic-float"])
def test_the_resize_of_one_network_is_the_mistake_of_another(scorer: Scorer, crops: list[Path], resize: Resize) -> None:
    other = copy.copy(scorer)
    other.card = replace(scorer.card, input=replace(scorer.card.input, resize=resize))
    images = [read_image(path) for path in crops[:6]]
    trials = try_crops(other, crops[:6])
    right = planted(scorer, images, lambda image: half(rgb(image)))
    assert str(told(trials, right)).startswith("wrong resize interpolation: Pillow bilinear")
    assert told(trials, other.score(images)).outcome == "agree"


def test_scores_that_agree_have_no_fault(scorer: Scorer, crops: list[Path], trials: Trials) -> None:
    right = planted(scorer, [read_image(path) for path in crops], lambda image: half(rgb(image)))
    assert told(trials, right).outcome == "agree"
    assert str(told(trials, right.round(4))).startswith("none: they agree")
    noise = np.random.default_rng(0).normal(0, 0.005 * right.std(), CROPS)
    assert str(told(trials, right + noise)).startswith("none: they agree but for little")


@pytest.mark.parametrize(("slope", "offset"), [(100.0, 0.0), (1.0, 0.25), (-1.0, 1.0), (0.5, -3.0)])
def test_scaled_scores_are_named_with_their_line(trials: Trials, slope: float, offset: float) -> None:
    own = np.array(next(iter(trials.scores.values())))
    found = told(trials, slope * own + offset)
    assert found.outcome == "scaled" and str(found).startswith("score scaled: reference =")
    assert found.findings[0].slope == pytest.approx(slope) and found.findings[0].offset == pytest.approx(offset)


def test_a_fault_under_a_scale_is_named_with_both(scorer: Scorer, crops: list[Path], trials: Trials) -> None:
    pipeline, says = PLANTED["bgr"]
    found = told(trials, 100 * planted(scorer, [read_image(path) for path in crops], pipeline) + 5)
    assert found.outcome == "fault and scaled"
    assert str(found).startswith(says) and "reference = 100 x score +5" in str(found)


def test_what_nothing_explains_is_said(trials: Trials) -> None:
    own = np.array(next(iter(trials.scores.values())))
    for riddle in (own[::-1], own.mean() + np.random.default_rng(1).normal(0, own.std(), CROPS)):
        found = told(trials, riddle)
        assert found.outcome == "unexplained" and str(found).startswith("no hypothesis explains it; nearest is"), found
    constant = told(trials, np.full(CROPS, 0.5))
    assert constant.outcome == "unexplained" and "the reference is constant" in str(constant)


def test_faults_that_look_alike_are_both_named() -> None:
    spec = MODELS["ediffiqa-t"].input
    own, *others = feed_hypotheses(spec)
    scores = {own: np.arange(6.0), **{hypothesis: np.arange(6.0) ** 2 for hypothesis in others[:2]}}
    found = diagnose(np.arange(6.0) ** 2 + 1e-3, scores)
    assert "these images do not tell it from normalisation missing: grey levels" in str(found)


def test_hypotheses_differ_from_the_card_and_from_each_other() -> None:
    for model in MODELS.values():
        inputs = [hypothesis.input for hypothesis in feed_hypotheses(model.input)]
        assert inputs[0] == model.input and len(set(inputs)) == len(inputs) >= 3


@pytest.mark.parametrize(
    ("reference", "says"),
    [([0.1] * 4, "too few"), ([0.1, 0.2, 0.3, 0.4, np.nan], "is nan"), ([1.7e308, -1.7e308] * 3, "spread further")],
)
def test_lists_that_tell_nothing_are_refused(reference: list[float], says: str) -> None:
    own = Hypothesis("none", "", MODELS["ediffiqa-t"].input)
    with pytest.raises(InputError, match=says):
        diagnose(reference, {own: [*reference[:-1], 0.5]})


def narrow_crop(photo: Image, landmarks: np.ndarray) -> Image:
    """Least squares over a, b, x, y of the similarity [[a, -b, x], [b, a, y]]."""
    rows = [row for x, y in landmarks.astype(float) for row in ((x, -y, 1, 0), (y, x, 0, 1))]
    (a, b, x, y), *_ = np.linalg.lstsq(np.array(rows), NARROW.ravel(), rcond=None)
    return cv2.warpAffine(photo, np.array([[a, -b, x], [b, a, y]]), (112, 112))


def least_squares_crop(photo: Image, landmarks: np.ndarray, interpolation: int = cv2.INTER_LINEAR) -> Image:
    shift = np.zeros((5, 2))
    shift[:, 0] = 8
    rows = [row for x, y in landmarks.astype(float) for row in ((x, -y, 1, 0), (y, x, 0, 1))]
    (a, b, x, y), *_ = np.linalg.lstsq(np.array(rows), (NARROW + shift).ravel(), rcond=None)
    return cv2.warpAffine(photo, np.array([[a, -b, x], [b, a, y]]), (112, 112), flags=interpolation)


def box_crop(photo: Image, box: np.ndarray) -> Image:
    x, y, width, height = box.tolist()
    return photo[max(round(y), 0) : round(y + height), max(round(x), 0) : round(x + width)]


PHOTO_FAULTS: dict[str, tuple[Callable[..., Image], str]] = {
    "whole": (lambda photo, face: photo, "no alignment: the whole photo"),
    "box": (lambda photo, face: box_crop(photo, face.box), "no alignment: the face box"),
    "narrow": (lambda photo, face: narrow_crop(photo, face.landmarks), "the other ArcFace template: narrow"),
    "nearest": (
        lambda photo, face: least_squares_crop(photo, face.landmarks, cv2.INTER_NEAREST),
        "wrong resize interpolation: nearest when the face is cut out",
    ),
    "bicubic": (
        lambda photo, face: least_squares_crop(photo, face.landmarks, cv2.INTER_CUBIC),
        "wrong resize interpolation: bicubic when the face is cut out",
    ),
    "bgr": (
        lambda photo, face: least_squares_crop(photo, face.landmarks)[:, :, ::-1],
        "RGB and BGR swapped",
    ),
    "none": (lambda photo, face: least_squares_crop(photo, face.landmarks), "none: they agree"),
}


@pytest.fixture(scope="module")
def detector(weights_dir: Path) -> Detector:
    return Detector(weights_dir / "face_detection_yunet_2023mar.onnx")


@pytest.fixture(scope="module")
def photos(images_dir: Path) -> list[Path]:
    return [
        path for name in ("dlib", "skimage", "face_recognition", "yakhyo") for path in find_images([images_dir / name])
    ]


@pytest.fixture(scope="module")
def photo_trials(scorer: Scorer, detector: Detector, photos: list[Path]) -> Trials:
    return try_photos(scorer, photos, detector)


@pytest.mark.parametrize("fault", PHOTO_FAULTS)
def test_a_fault_planted_on_photos_is_named(
    scorer: Scorer, detector: Detector, photo_trials: Trials, fault: str
) -> None:
    cut, says = PHOTO_FAULTS[fault]
    reference = []
    for path in photo_trials.images:
        photo = read_image(path)
        face = max(detector.detect(photo), key=lambda found: found.box[2] * found.box[3])
        reference.append(planted(scorer, [cut(photo, face)], lambda image: half(rgb(image)))[0])
    assert len(reference) >= 10
    assert str(told(photo_trials, np.array(reference))).startswith(says)


def test_heads_are_tried_too(scorer: Scorer, detector: Detector, photos: list[Path]) -> None:
    heads = copy.copy(scorer)
    heads.card = replace(scorer.card, input=replace(scorer.card.input, framing="ffhq"))
    trials = try_photos(heads, photos[:8], detector)
    arcface = next(scores for hypothesis, scores in trials.scores.items() if hypothesis.fault == "wrong framing")
    assert str(told(trials, np.array(arcface))).startswith("wrong framing: the 112 x 112 ArcFace crop")
    heads.card = replace(scorer.card, input=replace(scorer.card.input, framing="portrait-512"))
    with pytest.raises(UnsupportedError, match="--aligned"):
        try_photos(heads, photos, detector)


def test_scores_that_overflow_are_left_out(crops: list[Path]) -> None:
    own, swapped, missing, *_ = feed_hypotheses(MODELS["ediffiqa-t"].input)
    trials = Trials(crops[:2], {own: [0.1, 0.2], swapped: [0.1, 0.2], missing: [0.3, float("nan")]})
    assert list(trials.telling) == [own]

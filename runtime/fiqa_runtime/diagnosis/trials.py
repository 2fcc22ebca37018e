"""Every hypothesis tried on the same images."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fiqa_runtime.diagnosis.hypotheses import Hypothesis, crop_hypotheses, crop_pixels, photo_hypotheses, photo_pixels
from fiqa_runtime.diagnosis.other_detections import detector_hypotheses, detector_pixels, largest
from fiqa_runtime.errors import ArtefactError, InputError, UnsupportedError
from fiqa_runtime.faces.detection import FaceFinder, finder_settings
from fiqa_runtime.images.align import Method
from fiqa_runtime.images.framing import frame_of
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.progress import Report, silent

Pixels = Callable[[Path], dict[str, Image]]
"""Image file -> its pixels under every hypothesis; raises InputError where there are none."""


@dataclass
class Trials:
    """Every hypothesis on the same images."""

    images: list[Path] = field(default_factory=list)
    """Those that could be tried."""
    scores: dict[Hypothesis, list[float]] = field(default_factory=dict)
    """By hypothesis in the order of `images`, the card's own first; NaN where the network's numbers overflow, or where
    the detector of the hypothesis finds no face."""
    failed: dict[Path, str] = field(default_factory=dict)
    """Images without a score, and why."""

    @property
    def telling(self) -> dict[Hypothesis, list[float]]:
        """The card's own scores, and those of `scores` that exist for every image and differ from them."""
        own, *_ = self.scores.values()
        return {h: given for h, given in self.scores.items() if given is own or (given != own and _finite(given))}


def try_crops(scorer: Scorer, images: Sequence[Path], report: Report = silent) -> Trials:
    """Score ready crops under every hypothesis that they can tell."""
    spec = scorer.card.input
    return _try(scorer, crop_hypotheses(spec), images, lambda path: crop_pixels(read_image(path), spec), report)


def try_photos(
    scorer: Scorer,
    images: Sequence[Path],
    detector: FaceFinder,
    align: Method = "least-squares",
    report: Report = silent,
    other: FaceFinder | None = None,
) -> Trials:
    """Score the largest face of each photo under every hypothesis; `other` is a second detector to try.

    Raises UnsupportedError for networks whose crop five landmarks do not give.
    """
    spec = scorer.card.input
    cut = frame_of(spec).cut
    if cut is None:
        raise UnsupportedError(f"{scorer.card.model}'s crop is not tried on photos; give ready ones with --aligned")

    def pixels(path: Path) -> dict[str, Image]:
        photo = read_image(path)
        faces = detector.detect(photo)
        if not faces:
            raise InputError(f"{path} shows no face; give crops with --aligned")
        others = detector_pixels(photo, detector, other, lambda picture, landmarks: cut(picture, landmarks, align))
        return {**photo_pixels(photo, largest(faces), spec, align), **others}

    name = None if other is None else str(finder_settings(other)["detector"])
    return _try(scorer, photo_hypotheses(spec, align) + detector_hypotheses(spec, name), images, pixels, report)


def _try(
    scorer: Scorer, hypotheses: Sequence[Hypothesis], images: Sequence[Path], pixels: Pixels, report: Report
) -> Trials:
    """Try the images one after the other, so that only one is in memory."""
    trials = Trials(scores={hypothesis: [] for hypothesis in hypotheses})
    scorers = {hypothesis: _feeding(scorer, hypothesis) for hypothesis in hypotheses}
    for done, path in enumerate(images):
        report("try", done, len(images))
        try:
            found = _scores(scorers, pixels(path))
        except InputError as error:
            trials.failed[path] = str(error)
            continue
        trials.images.append(path)
        for hypothesis, score in found.items():
            trials.scores[hypothesis].append(score)
    return trials


def _feeding(scorer: Scorer, hypothesis: Hypothesis) -> Scorer:
    """`scorer` on the same backend, fed as `hypothesis` says."""
    other = copy.copy(scorer)
    other.card = replace(scorer.card, input=hypothesis.input)
    return other


def _scores(scorers: Mapping[Hypothesis, Scorer], pixels: Mapping[str, Image]) -> dict[Hypothesis, float]:
    """Scores of one image; what is fed exactly as the card says is scored once."""
    own = next(iter(scorers))
    right = pixels[own.pixels]
    found = {own: float(scorers[own].score([right])[0])}
    for hypothesis, scorer in scorers.items():
        given = pixels.get(hypothesis.pixels)
        if given is None:  # under this hypothesis the image has no face, and so no score
            found[hypothesis] = math.nan
            continue
        same = hypothesis.input == own.input and np.array_equal(given, right)
        found[hypothesis] = found[own] if same else _score(scorer, given)
    return found


def _score(scorer: Scorer, pixels: Image) -> float:
    """The score, or NaN where what is fed wrongly drives the network beyond its numbers."""
    try:
        return float(scorer.score([pixels])[0])
    except ArtefactError:
        return math.nan


def _finite(scores: Sequence[float]) -> bool:
    return bool(np.isfinite(scores).all())

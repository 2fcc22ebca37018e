"""``fiqa-score --diagnose``: scores from elsewhere against this engine under every usual mistake."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fiqa_runtime.align import Method
from fiqa_runtime.console import progress_bar, write_json
from fiqa_runtime.detector import Detection, Detector
from fiqa_runtime.diagnose import Diagnosis, diagnose
from fiqa_runtime.errors import ArtefactError, InputError, UnsupportedError
from fiqa_runtime.faults import Hypothesis, crop_hypotheses, crop_pixels, photo_hypotheses, photo_pixels
from fiqa_runtime.images import read_image
from fiqa_runtime.preprocess import Image
from fiqa_runtime.reference_scores import MatchedScores, match_reference, read_reference
from fiqa_runtime.scorer import Scorer

MOST_IMAGES = 64
"""Images that are enough; of more these many are tried, evenly chosen."""
LISTED = 3

Pixels = Callable[[Path], dict[str, Image]]
"""Image file -> its pixels under every hypothesis; raises InputError where there are none."""


@dataclass
class Trials:
    """Every hypothesis on the same images."""

    images: list[Path] = field(default_factory=list)
    """Those that could be tried."""
    scores: dict[Hypothesis, list[float]] = field(default_factory=dict)
    """By hypothesis in the order of `images`, the card's own first; NaN where the network's numbers overflow."""
    failed: dict[Path, str] = field(default_factory=dict)
    """Images without a score, and why."""

    @property
    def telling(self) -> dict[Hypothesis, list[float]]:
        """Those of `scores` that exist for every image and differ from the card's own, and the card's own."""
        own, *_ = self.scores.values()
        return {h: given for h, given in self.scores.items() if given is own or (given != own and _finite(given))}


def diagnose_scores(
    scorer: Scorer, reference: Path, images: Sequence[Path], json: str | None, detector: Detector | None, align: Method
) -> None:
    """Print, or write to `json`, what explains that the scores in the file `reference` differ from ours.

    Without `detector` the `images` are ready crops. Raises InputError where too few images have both scores,
    UnsupportedError for networks whose crop five landmarks do not give.
    """
    matched = match_reference(read_reference(reference), images)
    chosen = _spread(list(matched.scores))
    trials = try_crops(scorer, chosen) if detector is None else try_photos(scorer, chosen, detector, align)
    if not trials.images:
        raise InputError(_nothing_in_common(matched, trials, reference))
    found = diagnose([matched.scores[image] for image in trials.images], trials.telling)
    remarks = list(_remarks(matched, trials, crops=detector is None))
    if scorer.card.input.raw:
        remarks.append("not tried inside the graph: normalisation; give an artefact exported without --raw-input")
    if json:
        document = {"engine": str(scorer.path), "model": scorer.card.model, "reference": str(reference)}
        backend = {"name": scorer.backend.name, **scorer.backend.info}
        write_json({**document, "backend": backend, **found.as_json(), "remarks": remarks}, json)
    if json != "-":
        sys.stdout.writelines(f"{line}\n" for line in (*_table(found), *remarks, str(found)))


def try_crops(scorer: Scorer, images: Sequence[Path]) -> Trials:
    """Score ready crops under every hypothesis that they can tell."""
    spec = scorer.card.input
    return _try(scorer, crop_hypotheses(spec), images, lambda path: crop_pixels(read_image(path), spec))


def try_photos(scorer: Scorer, images: Sequence[Path], detector: Detector, align: Method = "least-squares") -> Trials:
    """Score the largest face of each photo under every hypothesis.

    Raises UnsupportedError for networks whose crop five landmarks do not give.
    """
    spec = scorer.card.input
    if spec.framing not in ("arcface-112", "ffhq"):
        raise UnsupportedError(f"{scorer.card.model}'s crop is not tried on photos; give ready ones with --aligned")

    def pixels(path: Path) -> dict[str, Image]:
        photo = read_image(path)
        faces = detector.detect(photo)
        if not faces:
            raise InputError(f"{path} shows no face; give crops with --aligned")
        return photo_pixels(photo, max(faces, key=_area), spec, align)

    return _try(scorer, photo_hypotheses(spec, align), images, pixels)


def _try(scorer: Scorer, hypotheses: Sequence[Hypothesis], images: Sequence[Path], pixels: Pixels) -> Trials:
    """One image after the other, so that memory holds one."""
    trials = Trials(scores={hypothesis: [] for hypothesis in hypotheses})
    scorers = {hypothesis: _feeding(scorer, hypothesis) for hypothesis in hypotheses}
    with progress_bar() as report:
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
        given = pixels[hypothesis.pixels]
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


def _area(face: Detection) -> float:
    return float(face.box[2] * face.box[3])


def _spread(paths: list[Path]) -> list[Path]:
    chosen = np.linspace(0, len(paths) - 1, min(len(paths), MOST_IMAGES)).round().astype(int)
    return [paths[index] for index in chosen.tolist()]


def _nothing_in_common(matched: MatchedScores, trials: Trials, reference: Path) -> str:
    if trials.failed:
        return f"none of {len(trials.failed)} images can be tried: {next(iter(trials.failed.values()))}"
    if matched.no_number:
        return f"{reference} has no score that is a number; write the scores again"
    return f"{reference} names none of the images (it has {matched.without_image[0]}); give both the same file names"


def _remarks(matched: MatchedScores, trials: Trials, crops: bool) -> Iterator[str]:
    """What was left out and what could not be tried."""
    for names, what in (
        (matched.without_image, "scores without image"),
        (matched.without_score, "images without score"),
        (matched.no_number, "scores that are no number"),
        (tuple(trials.failed), "images that cannot be tried"),
    ):
        if names:
            more = ", ..." if len(names) > LISTED else ""
            yield f"left out: {len(names)} {what} ({', '.join(map(str, names[:LISTED]))}{more})"
    tried = len(trials.images) + len(trials.failed)
    if len(matched.scores) > tried:
        yield f"tried on {tried} of {len(matched.scores)} images, evenly chosen"
    if crops:
        yield "not tried on ready crops: alignment and template; give the photos without --aligned"
    silent = [hypothesis.detail for hypothesis in trials.scores if hypothesis not in trials.telling]
    if silent:
        yield f"these images cannot show, as pixels or scores stay the same: {', '.join(silent)}"


def _table(found: Diagnosis) -> Iterator[str]:
    yield f"{found.images} images; the reference spreads by {found.spread:.4g} (standard deviation)"
    yield "residual    scaled  hypothesis"
    for finding in found.findings:
        scaled = "-" if finding.scaled_residual is None else f"{finding.scaled_residual:.2e}"
        yield f"{finding.residual:8.2e}  {scaled:>8}  {finding.fault}: {finding.detail}"

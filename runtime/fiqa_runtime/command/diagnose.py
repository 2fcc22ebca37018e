"""``fiqa-score --diagnose``: which usual mistake turns this engine's scores into the ones from elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fiqa_runtime.command.settings import EngineSettings, FaceSettings
from fiqa_runtime.diagnosis.reference import MatchedScores, match_reference, read_reference
from fiqa_runtime.diagnosis.trials import Trials, try_crops, try_photos
from fiqa_runtime.diagnosis.verdict import Diagnosis, diagnose
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import FaceFinder
from fiqa_runtime.images.align import Method
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.files import sha256_of
from fiqa_runtime.system.spread import evenly
from fiqa_runtime.terminal.console import progress_bar
from fiqa_runtime.terminal.outputs import write_json

MOST_IMAGES = 64
"""Images to try: so many are enough, and are chosen evenly from more."""
LISTED = 3


def diagnose_files(
    images: Sequence[Path], reference: Path, engine: EngineSettings, faces: FaceSettings | None, json: str | None
) -> None:
    """:func:`diagnose_scores` by the `engine` and the detectors of `faces`, which is None for ready crops."""
    with engine.open() as scorer:
        detectors = [] if faces is None else faces.open_detectors(engine, scorer)
        align: Method = "least-squares" if faces is None else faces.align
        diagnose_scores(scorer, reference, images, json, detectors, align)


def diagnose_scores(
    scorer: Scorer,
    reference: Path,
    images: Sequence[Path],
    json: str | None,
    detectors: Sequence[FaceFinder],
    align: Method,
) -> None:
    """Print, or write to `json`, what explains that the scores in the file `reference` differ from ours.

    `detectors` are the one to use and, where there is one, another to try; without any the `images` are ready crops.
    Raises InputError where too few images have both scores,
    UnsupportedError for networks whose crop five landmarks do not give.
    """
    matched = match_reference(read_reference(reference), images)
    images = list(matched.scores)
    chosen = [images[index] for index in evenly(MOST_IMAGES, len(images))]
    with progress_bar() as report:
        if not detectors:
            trials = try_crops(scorer, chosen, report)
        else:
            other = detectors[1] if len(detectors) > 1 else None
            trials = try_photos(scorer, chosen, detectors[0], align, report, other)
    if not trials.images:
        raise InputError(_nothing_in_common(matched, trials, reference))
    found = diagnose([matched.scores[image] for image in trials.images], trials.telling)
    remarks = list(_remarks(matched, trials, detectors=len(detectors)))
    if scorer.card.input.raw:
        remarks.append("not tried inside the graph: normalisation; give an artefact exported without --raw-input")
    if json:
        document = {
            "engine": str(scorer.path),
            "sha256": sha256_of(scorer.path),
            "model": scorer.card.model,
            "reference": str(reference),
        }
        backend = {"name": scorer.backend.name, **scorer.backend.info}
        write_json(
            {**document, "backend": backend, **found.as_json(), "remarks": remarks}, json, "fiqa-score-diagnose.v1"
        )
    if json != "-":
        sys.stdout.writelines(f"{line}\n" for line in (*_table(found), *remarks, str(found)))


def _nothing_in_common(matched: MatchedScores, trials: Trials, reference: Path) -> str:
    if trials.failed:
        return f"none of {len(trials.failed)} images can be tried: {next(iter(trials.failed.values()))}"
    if matched.no_number:
        return f"{reference} has no score that is a number; write the scores again"
    return f"{reference} names none of the images (it has {matched.without_image[0]}); give both the same file names"


def _remarks(matched: MatchedScores, trials: Trials, detectors: int) -> Iterator[str]:
    """What was left out and what could not be tried."""
    for names, what in (
        (matched.without_image, "scores without image"),
        (matched.without_score, "images without score"),
        (matched.no_number, "scores that are not numbers"),
        (tuple(trials.failed), "images that cannot be tried"),
    ):
        if names:
            more = ", ..." if len(names) > LISTED else ""
            yield f"left out: {len(names)} {what} ({', '.join(map(str, names[:LISTED]))}{more})"
    tried = len(trials.images) + len(trials.failed)
    if len(matched.scores) > tried:
        yield f"tried on {tried} of {len(matched.scores)} images, evenly chosen"
    if not detectors:
        yield "not tried on ready crops: detector, alignment and template; give the photos without --aligned"
    if detectors == 1:
        yield "not tried: another detector, since only one is here; fiqa-export mtcnn makes a second one"
    silent = [hypothesis.detail for hypothesis in trials.scores if hypothesis not in trials.telling]
    if silent:
        yield f"these images cannot show, as pixels or scores stay the same: {', '.join(silent)}"


def _table(found: Diagnosis) -> Iterator[str]:
    yield f"{found.images} images; the reference spreads by {found.spread:.4g} (standard deviation)"
    yield "residual    scaled  hypothesis"
    for finding in found.findings:
        scaled = "-" if finding.scaled_residual is None else f"{finding.scaled_residual:.2e}"
        yield f"{finding.residual:8.2e}  {scaled:>8}  {finding.fault}: {finding.detail}"

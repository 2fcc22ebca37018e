"""Images to scores, as ``fiqa-score`` does it once its options are read: results go out as they come."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fiqa_runtime.command.accounting import Account, counted
from fiqa_runtime.command.batch import score_crops, score_photos
from fiqa_runtime.command.overlay_files import picture_places, with_pictures
from fiqa_runtime.command.quality_file import QualityFile
from fiqa_runtime.command.results import (
    Stream,
    as_document,
)
from fiqa_runtime.command.settings import EngineSettings, FaceSettings, ScoreSettings
from fiqa_runtime.command.table import Table
from fiqa_runtime.command.threshold import calibrate_threshold, read_threshold
from fiqa_runtime.command.written import Written
from fiqa_runtime.errors import FiqaError, InputError
from fiqa_runtime.faces.detection import FaceFinder
from fiqa_runtime.faces.face_quality import FaceCropper, FaceQuality
from fiqa_runtime.faces.mtcnn_detector import MtcnnDetector
from fiqa_runtime.faces.portrait_quality import PortraitQuality, open_landmarkers
from fiqa_runtime.images.align import Method
from fiqa_runtime.images.framing import frame_of
from fiqa_runtime.images.reading import Found
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.terminal.console import detail, stderr, tell
from fiqa_runtime.terminal.options import refuse_unused
from fiqa_runtime.terminal.outputs import check_output_folder, write_json


@dataclass(frozen=True)
class Source:
    """Where results come from."""

    results: Stream
    settings: dict[str, Any]
    """How faces were found and aligned, for the JSON document."""
    crop: FaceCropper | None = None
    """Cuts the faces out again for their pictures; None where the images are crops."""


def score_images(found: Found, engine: EngineSettings, faces: FaceSettings, settings: ScoreSettings) -> None:
    """Score every face of the photos that were `found`, or those ready crops, and write what `settings` asks for.

    What became of every file, and what was written where, is told on stderr. Raises InputError at the end where some
    images could not be scored, and at once where none can be.
    """
    files = found.images
    account = Account(len(files), found.passed_over)
    quality = [QualityFile(path, files) for path in settings.quality_files]
    with ExitStack() as stack:
        scorer = stack.enter_context(engine.open())
        if not scorer.has_score:
            raise InputError(f"{scorer.card.model} gives no quality scores; name an artefact of a quality network")
        if settings.overlay is not None:
            places = picture_places(files, settings.overlay)
            check_output_folder(settings.overlay)
        if settings.aligned:
            source = _crops(files, scorer, settings.landmarks)
        else:
            source = _photos(files, scorer, engine, faces, settings, stack)
        if settings.reject is not None:
            calibrate_threshold(scorer, source.results, account, settings.reject)
            tell(account.lines())
            return
        threshold = _threshold(scorer, settings)
        if threshold is not None:
            source = _decided(source, threshold, settings.fp32_threshold)
        stream = source.results
        pictures: list[Path] = []
        if settings.overlay is not None:
            stream = with_pictures(stream, places, scorer, source.crop, pictures)
        table = None
        if not (settings.json or settings.jsonl or settings.csv or quality):
            table = Table(files, settings.aligned, threshold)
        written = Written(settings.csv, settings.jsonl, quality, settings.json is not None, table)
        written.consume(stream, account)
        if settings.json:
            write_json(
                as_document(scorer, written.kept, source.settings, account.as_json()), settings.json, "fiqa-score.v1"
            )
    tell(account.lines())
    tell(written.lines(settings.json))
    if settings.overlay is not None:
        tell([f"wrote {counted(len(pictures), 'picture')} to {settings.overlay}"])
    errors = written.errors + written.left_out
    _raise_all(errors + [complaint for file in quality[:1] if (complaint := file.complaint())])


def _raise_all(errors: list[FiqaError]) -> None:
    if errors:
        rest = f" (and {len(errors) - 3} more)" if len(errors) > 3 else ""
        raise InputError("; ".join(map(str, errors[:3])) + rest)


def _photos(
    files: list[Path],
    scorer: Scorer,
    engine: EngineSettings,
    faces: FaceSettings,
    settings: ScoreSettings,
    stack: ExitStack,
) -> Source:
    """Results for photos, as many at once as there are streams; `stack` closes what it opens."""
    again = replace(engine, backend=scorer.backend.name)
    more = (again.open() for _ in range(settings.streams - 1))
    scorers = [scorer, *map(stack.enter_context, more)]
    first, *others = [
        assessor_for(each, faces.open_detector(engine, each), faces.align, engine.backend, engine.threads, stack)
        for each in scorers
    ]
    if faces.detector is None and isinstance(first.detector, MtcnnDetector):
        stderr.print("faces are found by MTCNN, as the network's authors do; --detector yunet takes YuNet")
    detail(f"faces found by {first.settings['detector']} in {getattr(first.detector, 'engine', 'its own way')}")
    told = {"aligned": False, **first.settings}
    return Source(score_photos(files, first, settings.overlap, others), told, first.crop)


def assessor_for(
    scorer: Scorer, detector: FaceFinder, align: Method, backend: str, threads: int | None, stack: ExitStack
) -> FaceQuality | PortraitQuality:
    """The assessor for the network's framing; `stack` closes what it opens."""
    if not frame_of(scorer.card.input).on_template:
        refuse_unused(scorer.card.model, ["--align"] if align != "least-squares" else [])
    if frame_of(scorer.card.input).landmarks == 68:
        first, second = map(stack.enter_context, open_landmarkers(scorer.path, backend, threads))
        return PortraitQuality(scorer, detector, (first, second))
    return FaceQuality(scorer, detector, align)


def _crops(files: list[Path], scorer: Scorer, landmarks: Path | None) -> Source:
    settings = {"aligned": True, **_landmark_settings(scorer, landmarks)}
    return Source(score_crops(files, scorer, landmarks), settings)


def _threshold(scorer: Scorer, settings: ScoreSettings) -> float | None:
    """The smallest accepted score of this artefact; None where no decision is asked for."""
    if settings.fp32_threshold is not None:
        return scorer.threshold(settings.fp32_threshold)
    return None if settings.threshold is None else read_threshold(settings.threshold, scorer.path)


def _decided(source: Source, threshold: float, fp32_threshold: float | None) -> Source:
    """The same results, each with the smallest accepted score of this artefact."""
    results = ((replace(result, threshold=threshold), photo) for result, photo in source.results)
    chosen = {} if fp32_threshold is None else {"fp32_threshold": fp32_threshold}
    return replace(source, results=results, settings={**source.settings, **chosen, "threshold": threshold})


def _landmark_settings(scorer: Scorer, landmarks: Path | None) -> dict[str, Any]:
    if scorer.card.input.sampling is None:
        if landmarks is not None:
            raise InputError(f"{scorer.card.model} takes no landmarks; leave --landmarks out")
        return {}
    if landmarks is None:
        return {"landmarks": "all taken for visible"}
    if not landmarks.is_dir():
        raise InputError(f"there is no folder {landmarks}; name the one with a NAME.npy per picture")
    return {"landmarks": str(landmarks)}

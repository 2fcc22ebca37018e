"""Images to scores, as ``fiqa-score`` does it once its options are read: results go out as they come."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from fiqa_runtime.backends.devices import CPU
from fiqa_runtime.command.accounting import Account, counted
from fiqa_runtime.command.batch import refuse_same_stems, score_crops
from fiqa_runtime.command.photo_setup import opener_for
from fiqa_runtime.command.quality_file import QualityFile, refuse_names_that_are_not_utf8
from fiqa_runtime.command.results import (
    Stream,
    as_document,
)
from fiqa_runtime.command.settings import EngineSettings, FaceSettings, ScoreSettings
from fiqa_runtime.command.table import Table
from fiqa_runtime.command.threshold import calibrate_threshold, read_threshold
from fiqa_runtime.command.written import Written
from fiqa_runtime.errors import InputError, VerdictError
from fiqa_runtime.faces.face_quality import FaceCropper
from fiqa_runtime.faces.mtcnn_detector import MtcnnDetector
from fiqa_runtime.images.reading import Found
from fiqa_runtime.rows.parquet_output import to_parquet
from fiqa_runtime.rows.schema import require_pyarrow
from fiqa_runtime.runs.journal import Journal
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test
from fiqa_runtime.system.files import sha256_of
from fiqa_runtime.terminal.console import detail, stderr, tell
from fiqa_runtime.terminal.outputs import check_output_folder, write_json


@dataclass(frozen=True)
class Source:
    """Where results come from."""

    scorer: Scorer
    results: Callable[[Sequence[Path]], Stream]
    """The results of some of the files, as they come."""
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
    if settings.parquet is not None:
        require_pyarrow()
        refuse_names_that_are_not_utf8(settings.parquet, [*files, *found.passed_over])
    with ExitStack() as stack:
        scorer = stack.enter_context(engine.open(len(files) if settings.workers.number == 1 else None))
        if not scorer.has_score:
            raise InputError(f"{scorer.card.model} gives no quality scores; name an artefact of a quality network")
        if settings.overlay is not None:
            from fiqa_runtime.command.overlay_files import picture_places, with_pictures

            places = picture_places(files, settings.overlay)
            check_output_folder(settings.overlay)
        if settings.aligned:
            source = _crops(files, scorer, engine, settings)
        else:
            source = _photos(files, scorer, engine, faces, settings, stack)
            scorer = source.scorer
        if settings.reject is not None:
            calibrate_threshold(scorer, source.results(files), account, settings.reject)
            tell(account.lines())
            return
        threshold = _threshold(scorer, settings)
        if threshold is not None:
            source = _decided(source, threshold, settings.fp32_threshold)
        journal = _journal(scorer, engine, source, settings)
        stream = source.results([file for file in files if not journal.skips(file)])
        pictures: list[Path] = []
        if settings.overlay is not None:
            stream = with_pictures(stream, places, scorer, source.crop, pictures)
        table = None
        if not (settings.json or settings.jsonl or settings.csv or settings.parquet or quality):
            table = Table(files, settings.aligned, threshold)
        outputs = (settings.csv, settings.jsonl, settings.parquet)
        written = Written(journal, *outputs, quality, settings.json is not None, table)
        written.consume(stream, account)
        if settings.json:
            write_json(
                as_document(scorer, written.kept, source.settings, account.as_json()), settings.json, "fiqa-score.v1"
            )
    tell(account.lines())
    tell(written.lines(settings.json))
    if settings.overlay is not None:
        tell([f"wrote {counted(len(pictures), 'picture')} to {settings.overlay}"])
    written.raise_complaints(complaint for file in quality[:1] if (complaint := file.complaint()))


def _journal(scorer: Scorer, engine: EngineSettings, source: Source, settings: ScoreSettings) -> Journal:
    """The outputs that grow, and what an earlier run of the same kind has put there."""
    outputs = (settings.csv, settings.jsonl, settings.parquet)
    grow = [path for path in outputs if path is not None and str(path) != "-"]
    network = None if engine.network is None else sha256_of(engine.network)
    run = {"engine": sha256_of(scorer.path), "network": network, **asdict(settings.pictures), **source.settings}
    convert = {} if settings.parquet is None else {settings.parquet: to_parquet}
    return Journal(grow, json.loads(json.dumps(run, default=str)), settings.resume, convert)


def _photos(
    files: list[Path],
    scorer: Scorer,
    engine: EngineSettings,
    faces: FaceSettings,
    settings: ScoreSettings,
    stack: ExitStack,
) -> Source:
    """Results for photos, in the way that is fastest here or that was asked for; `stack` closes what it opens."""
    opener = opener_for(engine, faces, scorer, settings.pictures)
    setup = opener.plain
    if settings.workers.number == 1:
        decision = opener.decide(files, (settings.streams, settings.overlap))
        setup = decision.setup
        for line in decision.lines():
            detail(line)
        tell([decision.why] if decision.left_out else [])
    opened = opener.open(setup, stack)
    if opened.scorer is not scorer and not (result := self_test(opened.scorer)).passed:
        raise VerdictError(f"{result}, in {setup.scorer}; choose another --backend")
    first = opened.assessors[0]
    if faces.detector is None and isinstance(first.detector, MtcnnDetector):
        stderr.print("faces are found by MTCNN, as the network's authors do; --detector yunet takes YuNet")
    how = f"{getattr(first.detector, 'engine', 'its own way')} on {getattr(first.detector, 'device', CPU)}"
    detail(f"faces found by {first.settings['detector']} in {how}")
    told = {"aligned": False, **first.settings}
    if settings.workers.number > 1:
        return _in_processes(scorer, engine, faces, settings, told)
    return Source(opened.scorer, opened.score, told, first.crop)


def _crops(files: list[Path], scorer: Scorer, engine: EngineSettings, settings: ScoreSettings) -> Source:
    told = {"aligned": True, **_landmark_settings(scorer, settings.landmarks)}
    if settings.workers.number > 1:
        return _in_processes(scorer, engine, None, settings, told)
    if settings.landmarks is not None:
        refuse_same_stems(files)
    return Source(scorer, lambda some: score_crops(some, scorer, settings.landmarks, settings.pictures), told)


def _in_processes(
    scorer: Scorer, engine: EngineSettings, faces: FaceSettings | None, settings: ScoreSettings, told: dict[str, Any]
) -> Source:
    """Results from worker processes; `faces` is None for ready crops."""
    from fiqa_runtime.command.worker import score_in_processes

    again = replace(engine, backend=scorer.backend.name)
    return Source(
        scorer, lambda some: score_in_processes(some, settings.workers, again, faces, settings.pictures), told
    )


def _threshold(scorer: Scorer, settings: ScoreSettings) -> float | None:
    """The smallest accepted score of this artefact; None where no decision is asked for."""
    if settings.fp32_threshold is not None:
        return scorer.threshold(settings.fp32_threshold)
    return None if settings.threshold is None else read_threshold(settings.threshold, scorer.path)


def _decided(source: Source, threshold: float, fp32_threshold: float | None) -> Source:
    """The same results, each with the smallest accepted score of this artefact."""

    def results(some: Sequence[Path]) -> Stream:
        return ((replace(result, threshold=threshold), photo) for result, photo in source.results(some))

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

"""Every image of a data set -> its quality, in CR-FIQA's file format; scores are kept by content in the score cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.files import sha256_of, user_cache, write_text
from fiqa_runtime.system.parallel import work_ahead
from fiqa_runtime.system.progress import Report, silent
from fiqa_runtime.terminal.outputs import check_output_folder
from numpy.typing import NDArray

from fiqa_evaluation.data_set.set_folder import SetFolder
from fiqa_evaluation.scores.score_cache import ScoreCache

CACHE = "scores.sqlite"
CHUNK = 64
"""Images per step of the progress bar, after each of which the scores are kept."""


@dataclass(frozen=True)
class Scored:
    """What one engine gave for a data set."""

    method: str
    scores: dict[str, float]
    """By name of the image."""
    refused: dict[str, str]
    """Why images have no score, by name."""


def identity_of(scorer: Scorer) -> str:
    """A hash of the artefact and its card, because preprocessing is as much a part of a score as the weights."""
    return hashlib.sha256((sha256_of(scorer.path) + scorer.card.to_json()).encode()).hexdigest()


def setup_of(scorer: Scorer) -> str:
    """Everything else that can change a score."""
    parts = {"backend": scorer.backend.name, **scorer.backend.info}
    return json.dumps({**parts, "opencv": cv2.__version__, "fiqa-edge": version("fiqa-edge")}, sort_keys=True)


def require_score(scorer: Scorer) -> None:
    """Raise InputError where the network gives no quality score."""
    if not scorer.has_score:
        raise InputError(
            f"{scorer.card.model} gives no quality scores; fiqa-export --list shows what each network gives"
        )


def score_set(
    data: SetFolder, scorer: Scorer, method: str, cache: Path | None = None, report: Report = silent
) -> Scored:
    """Score every image of `data`; images that cannot be read or scored are left out and told.

    `cache` is the file that keeps scores; None: `scores.sqlite` in the user cache. Raises InputError where the network
    gives no score.
    """
    require_score(scorer)
    cache = cache or user_cache() / CACHE
    check_output_folder(cache.parent)
    scores: dict[str, float] = {}
    refused: dict[str, str] = {}
    setup = setup_of(scorer) + (" exchanged" if data.exchanged else "")
    with ScoreCache(cache, identity_of(scorer), setup) as known:
        starts = range(0, len(data.names), CHUNK)

        def hashed(start: int) -> dict[str, str]:
            return _hashes(data, data.names[start : start + CHUNK])

        for start, digests in zip(starts, work_ahead(hashed, starts), strict=True):
            report(f"score {data.name} with {method}", start, len(data.names))
            names = data.names[start : start + CHUNK]
            refused |= {name: f"there is no image {data.file(name)}" for name in names if name not in digests}
            kept = known.get(list(digests.values()))
            waiting = [name for name, digest in digests.items() if digest not in kept]
            fresh, unusable = _score(data, scorer, waiting)
            known.put({digests[name]: value for name, value in fresh.items()})
            refused |= unusable
            scores |= fresh | {name: kept[digest] for name, digest in digests.items() if digest in kept}
    report(f"score {data.name} with {method}", len(data.names), len(data.names))
    return Scored(method, {name: scores[name] for name in data.names if name in scores}, refused)


def write_quality(data: SetFolder, scored: Scored, folder: Path | None = None) -> Path:
    """Write the scores as CR-FIQA's evaluation reads them, to the set's folder or to `folder`; returns the file."""
    path = data.quality_file(scored.method)
    if folder is not None:
        check_output_folder(folder)
        path = folder / path.name
    lines = (f"{data.file(name).as_posix()} {np.float32(score)}\n" for name, score in scored.scores.items())
    write_text(path, "".join(lines))
    return path


def _hashes(data: SetFolder, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of the files that are there."""
    return {name: digest for name in names if (digest := data.digest(name)) is not None}


def _score(data: SetFolder, scorer: Scorer, names: Sequence[str]) -> tuple[dict[str, float], dict[str, str]]:
    """Scores of the images that can be scored, and why others cannot."""
    images, refused = {}, {}
    for name in names:
        try:
            images[name] = data.read(name)
        except InputError as error:
            refused[name] = str(error)
    try:
        values: NDArray[np.float32] = scorer.score(list(images.values()))
        return dict(zip(images, map(float, values), strict=True)), refused
    except InputError:
        scores = {}
        for name, image in images.items():
            try:
                scores[name] = float(scorer.score([image])[0])
            except InputError as error:
                refused[name] = str(error)
        return scores, refused

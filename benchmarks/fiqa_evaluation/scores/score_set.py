"""Every image of a data set -> its quality, in CR-FIQA's file format; scores are kept by content in the score cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
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
"""Images per step of the progress bar."""


@dataclass(frozen=True)
class Scored:
    """What one engine gave for a data set."""

    method: str
    scores: dict[str, float]
    """By name of the image."""
    refused: dict[str, str]
    """Why images have no score, by name."""
    whole: bool
    """Whether every score was computed now, and none kept from before."""


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
    digests = {name: data.digest(name) for name in data.names}
    refused = {name: f"there is no image {data.file(name)}" for name, digest in digests.items() if digest is None}
    files = {digest: name for name, digest in digests.items() if digest is not None}
    setup = setup_of(scorer) + (" exchanged" if data.exchanged else "")
    with ScoreCache(cache, identity_of(scorer), setup) as kept, kept.gathering() as gathered:
        known = kept.get(list(files))
        whole = not known
        waiting = [(digest, name) for digest, name in files.items() if digest not in known]
        starts = range(0, len(waiting), CHUNK)

        def read(start: int) -> tuple[dict[str, Image], dict[str, str]]:
            return _read(data, waiting[start : start + CHUNK])

        for start, (images, unreadable) in zip(starts, work_ahead(read, starts), strict=True):
            report(f"score {data.name} with {method}", start, len(waiting))
            fresh, unusable = _score(scorer, images)
            gathered(fresh)
            known |= fresh
            refused |= {name: (unreadable | unusable)[d] for name, d in digests.items() if d in unreadable | unusable}
    report(f"score {data.name} with {method}", len(waiting), len(waiting))
    scores = {name: known[digest] for name, digest in digests.items() if digest is not None and digest in known}
    return Scored(method, scores, refused, whole)


def write_quality(data: SetFolder, scored: Scored, folder: Path | None = None) -> Path:
    """Write the scores as CR-FIQA's evaluation reads them, to the set's folder or to `folder`; returns the file."""
    path = data.quality_file(scored.method)
    if folder is not None:
        check_output_folder(folder)
        path = folder / path.name
    lines = (f"{data.file(name).as_posix()} {np.float32(score)}\n" for name, score in scored.scores.items())
    write_text(path, "".join(lines))
    return path


def _read(data: SetFolder, files: Sequence[tuple[str, str]]) -> tuple[dict[str, Image], dict[str, str]]:
    """Images of (SHA-256, name) by hash, and why others cannot be read."""
    images, refused = {}, {}
    for digest, name in files:
        try:
            images[digest] = data.read(name)
        except InputError as error:
            refused[digest] = str(error)
    return images, refused


def _score(scorer: Scorer, images: Mapping[str, Image]) -> tuple[dict[str, float], dict[str, str]]:
    """Scores by hash of the images that can be scored, and why others cannot."""
    try:
        values: NDArray[np.float32] = scorer.score(list(images.values()))
        return dict(zip(images, map(float, values), strict=True)), {}
    except InputError:
        scores, refused = {}, {}
        for digest, image in images.items():
            try:
                scores[digest] = float(scorer.score([image])[0])
            except InputError as error:
                refused[digest] = str(error)
        return scores, refused

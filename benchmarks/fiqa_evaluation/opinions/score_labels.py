"""Labelled images -> the scores of an engine, by way of the cache; what cannot be scored is left out for all
engines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.progress import Report
from numpy.typing import NDArray

from fiqa_evaluation.scores.score_cache import ScoreCache, score_images
from fiqa_evaluation.scores.score_set import identity_of, require_score, setup_of

CHUNK = 256
"""Images per step of the progress bar; after an image that cannot be scored, only those of its step are read again."""
Unusable = dict[Path, InputError]
"""Images that could not be scored, and why."""


def score_labelled(
    scorer: Scorer, paths: Sequence[Path], unusable: Unusable, cache: Path, name: str, report: Report
) -> dict[Path, float]:
    """Scores of the usable `paths`; others are added to `unusable`."""
    require_score(scorer)
    found: dict[Path, float] = {}
    with ScoreCache(cache, identity_of(scorer), setup_of(scorer)) as known:
        for start in range(0, len(paths), CHUNK):
            report(f"score with {name}", start, len(paths))
            found.update(_score_chunk(scorer, paths[start : start + CHUNK], unusable, known))
    report(f"score with {name}", len(paths), len(paths))
    return found


def _score_chunk(scorer: Scorer, paths: Sequence[Path], unusable: Unusable, known: ScoreCache) -> dict[Path, float]:
    while True:
        left = [path for path in paths if path not in unusable]
        before = len(unusable)
        try:
            values = score_images(left, known, lambda files: _score(scorer, files, unusable))
        except InputError:
            if len(unusable) == before:
                raise
        else:
            return dict(zip(left, values.tolist(), strict=True))


def _score(scorer: Scorer, files: Sequence[Path], unusable: Unusable) -> NDArray[np.float32]:
    """Scores of `files`; where that fails, the files at fault are added to `unusable` before the error is raised."""
    try:
        return scorer.score([read_image(file) for file in files])
    except InputError:
        for file in files:
            try:
                scorer.score([read_image(file)])
            except InputError as error:
                unusable[file] = error
        raise

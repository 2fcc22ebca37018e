"""Many files, one after the other: results as they come, a bad file never stops the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from fiqa_runtime.errors import InputError
from fiqa_runtime.images import read_image
from fiqa_runtime.pipeline import FaceQuality
from fiqa_runtime.preprocess import Image
from fiqa_runtime.results import ImageResult
from fiqa_runtime.scorer import Scorer


def score_photos(paths: Sequence[Path], quality: FaceQuality) -> Iterator[tuple[ImageResult, Image | None]]:
    """Detect, align and score every face of every photo; yields each result with the photo it belongs to."""
    for path in paths:
        try:
            photo = read_image(path)
            faces = tuple(quality.assess(photo))
        except InputError as error:
            yield ImageResult(path, error=error), None
            continue
        yield ImageResult(path, photo.shape[1], photo.shape[0], faces), photo


def score_crops(paths: Sequence[Path], scorer: Scorer) -> Iterator[tuple[ImageResult, Image | None]]:
    """Score ready crops, as many at a time as the artefact takes; yields results in the order of `paths`."""
    files = iter(paths)
    while chunk := list(islice(files, scorer.card.max_batch)):
        crops: dict[Path, Image] = {}
        errors: dict[Path, InputError] = {}
        for path in chunk:
            try:
                crops[path] = read_image(path)
            except InputError as error:
                errors[path] = error
        scores = dict(zip(crops, scorer.score(list(crops.values())).tolist(), strict=True))
        for path in chunk:
            if path in errors:
                yield ImageResult(path, error=errors[path]), None
            else:
                height, width = crops[path].shape[:2]
                yield ImageResult(path, width, height, quality=scores[path]), crops[path]

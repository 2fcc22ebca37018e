"""Many files, one after the other: results as they come, a bad file never stops the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.errors import InputError
from fiqa_runtime.images import read_image
from fiqa_runtime.pipeline import Face
from fiqa_runtime.preprocess import Image
from fiqa_runtime.results import ImageResult
from fiqa_runtime.scorer import Scorer


class Assessor(Protocol):
    """:class:`fiqa_runtime.pipeline.FaceQuality` or its sibling for portraits."""

    def assess(self, image: Image) -> list[Face]: ...


def score_photos(paths: Sequence[Path], quality: Assessor) -> Iterator[tuple[ImageResult, Image | None]]:
    """Detect, align and score every face of every photo; yields each result with the photo it belongs to."""
    for path in paths:
        try:
            photo = read_image(path)
            faces = tuple(quality.assess(photo))
        except InputError as error:
            yield ImageResult(path, error=error), None
            continue
        yield ImageResult(path, photo.shape[1], photo.shape[0], faces), photo


def score_crops(
    paths: Sequence[Path], scorer: Scorer, landmarks: Path | None = None
) -> Iterator[tuple[ImageResult, Image | None]]:
    """Score ready crops, as many at a time as the artefact takes; yields results in the order of `paths`.

    `landmarks`: a folder with ``<name of the picture>.npy`` (68, 2), as DSL-FIQA's script writes them.
    """
    files = iter(paths)
    while chunk := list(islice(files, scorer.card.max_batch)):
        crops: dict[Path, Image] = {}
        points: dict[Path, NDArray[np.float32]] = {}
        errors: dict[Path, InputError] = {}
        for path in chunk:
            try:
                if landmarks is not None:
                    points[path] = read_landmarks(landmarks / f"{path.stem}.npy")
                crops[path] = read_image(path)
            except InputError as error:
                errors[path] = error
        given = [points[path] for path in crops] if landmarks is not None else None
        scores = dict(zip(crops, scorer.score(list(crops.values()), given).tolist(), strict=True))
        for path in chunk:
            if path in errors:
                yield ImageResult(path, error=errors[path]), None
            else:
                height, width = crops[path].shape[:2]
                yield ImageResult(path, width, height, quality=scores[path]), crops[path]


def read_landmarks(path: Path) -> NDArray[np.float32]:
    """Landmarks (L, 2), x first, in pixels, from an ``.npy`` file; raises InputError where it holds anything else."""
    try:
        points = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"cannot read landmarks from {path}: {error}; save a (68, 2) array with numpy.save") from error
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise InputError(f"{path} holds an array of shape {points.shape}; landmarks are (68, 2), x first")
    return np.asarray(points, np.float32)

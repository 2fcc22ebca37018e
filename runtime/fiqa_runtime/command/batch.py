"""Many files are scored one after the other: each result is given as it comes, and a bad file never stops the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.command.results import ImageResult
from fiqa_runtime.errors import FiqaError, InputError
from fiqa_runtime.faces.face_quality import Face, LeftOutError
from fiqa_runtime.images.crop_sampling import check_landmarks
from fiqa_runtime.images.framing import unlike_a_crop
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.rows.crops import OF_ONE_IMAGE, most_at_once, scores_of
from fiqa_runtime.rows.pictures import Pictures
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.documents import read_array
from fiqa_runtime.system.parallel import work_ahead, work_side_by_side

E = TypeVar("E", bound=FiqaError)
Finish = Callable[[], list[Face]]
FILES = Pictures()


class Assessor(Protocol):
    """:class:`fiqa_runtime.faces.face_quality.FaceQuality` or its sibling for portraits."""

    def begin(self, image: Image) -> Finish:
        """Find the faces; what it returns scores them."""


def score_photos(
    paths: Sequence[Path],
    quality: Assessor,
    overlap: bool = False,
    more: Sequence[Assessor] = (),
    pictures: Pictures = FILES,
) -> Iterator[tuple[ImageResult, Image | None]]:
    """Detect, align and score every face of every photo; yields each result with the photo it belongs to, in order.

    With `overlap` the next photo is read and its faces are found while those of this one are scored. `more` are
    assessors like `quality`; each takes another photo at the same time.
    """
    if more:
        yield from work_side_by_side(
            lambda each, path: _finished(path, _begun(path, each, pictures)), [quality, *more], paths
        )
        return
    begin = partial(_begun, quality=quality, pictures=pictures)
    for path, begun in zip(paths, work_ahead(begin, paths) if overlap else map(begin, paths), strict=True):
        yield _finished(path, begun)


def _begun(path: Path, quality: Assessor, pictures: Pictures) -> tuple[Image, Finish] | FiqaError:
    try:
        photo = pictures.read(path)
    except InputError as error:
        return error
    try:
        return photo, quality.begin(photo)
    except OF_ONE_IMAGE as error:
        return _named(path, error)


def _finished(path: Path, begun: tuple[Image, Finish] | FiqaError) -> tuple[ImageResult, Image | None]:
    if isinstance(begun, FiqaError):
        return ImageResult(path, error=begun), None
    photo, finish = begun
    height, width = photo.shape[:2]
    try:
        return ImageResult(path, width, height, _without_crops(finish())), photo
    except LeftOutError as error:
        left_out = InputError(f"{path}: {error}")
        return ImageResult(path, width, height, _without_crops(error.faces), left_out=left_out), photo
    except OF_ONE_IMAGE as error:
        return ImageResult(path, error=_named(path, error)), None


def _without_crops(faces: Sequence[Face]) -> tuple[Face, ...]:
    """Results may stay in memory to the end of a run, the pixels of their faces need not."""
    return tuple(replace(face, crop=None) for face in faces)


def score_crops(
    paths: Sequence[Path], scorer: Scorer, landmarks: Path | None = None, pictures: Pictures = FILES
) -> Iterator[tuple[ImageResult, Image | None]]:
    """Score ready crops, as many at a time as the artefact takes; yields results in the order of `paths`.

    `landmarks`: a folder with ``<name of the picture>.npy`` (68, 2), as DSL-FIQA's script writes them.
    """
    files = iter(paths)
    while chunk := list(islice(files, most_at_once(scorer))):
        crops: dict[Path, Image] = {}
        points: dict[Path, NDArray[np.float32]] = {}
        errors: dict[Path, FiqaError] = {}
        for path in chunk:
            try:
                if landmarks is not None:
                    points[path] = read_landmarks(landmarks / f"{path.stem}.npy")
                crops[path] = pictures.read(path)
            except InputError as error:
                errors[path] = error
        scored: dict[Path, float | FiqaError] = {**errors, **_scores(crops, scorer, points)}
        for path in chunk:
            quality = scored[path]
            if isinstance(quality, FiqaError):
                yield ImageResult(path, error=quality), None
            else:
                height, width = crops[path].shape[:2]
                warning = unlike_a_crop(width, height, scorer.card.input)
                yield ImageResult(path, width, height, quality=quality, warning=warning), crops[path]


def _scores(
    crops: dict[Path, Image], scorer: Scorer, points: dict[Path, NDArray[np.float32]]
) -> dict[Path, float | FiqaError]:
    """The score of each crop, or why it has none."""
    scores = scores_of(list(crops.values()), scorer, [points[path] for path in crops] if points else None)
    named = (
        _named(path, score) if isinstance(score, FiqaError) else score
        for path, score in zip(crops, scores, strict=True)
    )
    return dict(zip(crops, named, strict=True))


def read_landmarks(path: Path) -> NDArray[np.float32]:
    """Landmarks (L, 2), x first, in pixels, from an ``.npy`` file; raises InputError where it holds anything else."""
    try:
        points = read_array(path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read landmarks from {path}: {error}; save a (68, 2) array with numpy.save") from error
    try:
        return check_landmarks(points)
    except InputError as error:
        raise _named(path, error) from error


def refuse_same_stems(paths: Sequence[Path]) -> None:
    """Raise InputError where two pictures would share one file of landmarks."""
    first: dict[str, Path] = {}
    for path in paths:
        other = first.setdefault(path.stem, path)
        if other is not path:
            raise InputError(f"{other} and {path} would share the landmarks {path.stem}.npy; score them one by one")


def _named(path: Path, error: E) -> E:
    return type(error)(f"{path}: {error}")

"""What ``fiqa-score`` found, and what a JSON document, a line of JSON and a line of CSV say of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiqa_runtime.errors import FiqaError
from fiqa_runtime.faces.face_quality import Face
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.rows.schema import as_crop_row
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.files import sha256_of

_POINTS = ("right_eye", "left_eye", "nose", "right_mouth", "left_mouth")
COLUMNS = (
    *("path", "face", "quality", "confidence", "x", "y", "width", "height"),
    *(f"{point}_{axis}" for point in _POINTS for axis in "xy"),
    *("accepted", "outcome", "reason"),
)
"""Columns of the CSV: one line per face; for ready crops only path, quality and the last three are filled, and accepted
only where a threshold was given. An image without a score has a line too, which says why in its last two columns."""
SCORED, NO_FACE, REFUSED, PASSED_OVER = "scored", "no face", "refused", "passed over"


@dataclass(frozen=True)
class ImageResult:
    """One image: the faces of a photo, or the quality of a ready crop, or why there is neither."""

    path: Path
    width: int = 0
    height: int = 0
    faces: tuple[Face, ...] | None = None
    """Faces found in a photo (empty: none), None for a ready crop."""
    quality: float | None = None
    """Score of a ready crop."""
    error: FiqaError | None = None
    """Why the image was not scored."""
    left_out: FiqaError | None = None
    """Why some faces of a photo are not among `faces`."""
    warning: str = ""
    """Why the score is to be doubted, in one line."""
    threshold: float | None = None
    """Smallest accepted quality; None where no decision was asked for."""

    @property
    def outcome(self) -> str:
        """`scored`, `no face` or `refused`."""
        if self.error:
            return REFUSED
        return NO_FACE if self.faces is not None and not self.faces else SCORED

    def accepts(self, quality: float | None) -> bool | None:
        """Whether `quality` reaches the threshold; None where one of the two is missing."""
        return None if self.threshold is None or quality is None else quality >= self.threshold

    def as_json(self) -> dict[str, Any]:
        """One entry of the JSON document."""
        if self.error:
            return {"path": str(self.path), "error": str(self.error)}
        entry: dict[str, Any] = {"path": str(self.path), "width": self.width, "height": self.height}
        if self.warning:
            entry["warnings"] = [self.warning]
        if self.faces is None:
            return {**entry, "quality": self.quality, **self._decision(self.quality)}
        if self.left_out:
            entry["left_out"] = str(self.left_out)
        return {**entry, "faces": [{**face.as_dict(), **self._decision(face.quality)} for face in self.faces]}

    def _decision(self, quality: float | None) -> dict[str, bool]:
        accepted = self.accepts(quality)
        return {} if accepted is None else {"accepted": accepted}

    def rows(self) -> Iterator[tuple[object, ...]]:
        """Lines of the CSV."""
        if self.error or self.faces == ():
            yield row_without_score(self.path, self.outcome, str(self.error or self.left_out or ""))
            return
        if self.faces is None:
            ends = (self.accepts(self.quality), self.outcome, self.warning)
            yield (self.path, "", self.quality, *[""] * (len(COLUMNS) - 3 - len(ends)), *ends)
            return
        for number, face in enumerate(self.faces):
            numbers = (*face.box.tolist(), *face.landmarks.ravel().tolist())
            ends = (self.accepts(face.quality), self.outcome, str(self.left_out or ""))
            yield (self.path, number, face.quality, face.confidence, *numbers, *ends)


def row_without_score(path: Path, outcome: str, reason: str) -> tuple[object, ...]:
    """A line of the CSV for an image without a score."""
    return (path, *[""] * (len(COLUMNS) - 3), outcome, reason)


Rows = Iterable[tuple[object, ...]]
"""Lines of the CSV."""
Stream = Iterable[tuple[ImageResult, Image | None]]
"""Results in the order in which they come, each with its image where that could be read."""


def as_document(
    scorer: Scorer, images: list[ImageResult], settings: dict[str, Any], accounting: dict[str, Any]
) -> dict[str, Any]:
    """The JSON document of a run; `settings` says how faces were found and aligned, `accounting` what became of all."""
    card = scorer.card
    return {
        "engine": str(scorer.path),
        "sha256": sha256_of(scorer.path),
        "model": card.model,
        "precision": card.precision,
        "weights": card.weights.description,
        "licence": card.licence,
        "backend": {"name": scorer.backend.name, **scorer.backend.info},
        "higher_is_better": True,
        **settings,
        "accounting": accounting,
        "images": [image.as_json() for image in images],
    }


def line_of(result: ImageResult) -> dict[str, Any]:
    """What a line of JSON says of an image: its faces, or of a ready crop its quality, or why it has none."""
    known = {"image": str(result.path), "outcome": result.outcome}
    error = None if result.error is None else str(result.error)
    if result.faces is None:
        return {**known, "quality": result.quality, "error": error}
    return {**known, "faces": result.as_json()["faces"], "error": error or (result.left_out and str(result.left_out))}


def line_of_passed_over(path: Path, reason: str) -> dict[str, Any]:
    """What a line of JSON says of a file in a folder that was not read."""
    return {"image": str(path), "outcome": PASSED_OVER, "error": reason}


def row_of(result: ImageResult) -> dict[str, Any]:
    """What a row of Parquet says of an image; see :func:`fiqa_runtime.rows.parquet_output.file_schema`."""
    faces: list[dict[str, Any]] = [face.as_dict() for face in result.faces or ()]
    if result.quality is not None:
        faces = [as_crop_row(result.quality)]
    error = result.error or result.left_out
    decided = [{**face, "accepted": result.accepts(face["quality"])} for face in faces]
    return _row(result.path, result.outcome, decided, None if error is None else str(error))


def row_of_passed_over(path: Path, reason: str) -> dict[str, Any]:
    """What a row of Parquet says of a file in a folder that was not read."""
    return _row(path, PASSED_OVER, [], reason)


def _row(path: Path, outcome: str, faces: list[dict[str, Any]], error: str | None) -> dict[str, Any]:
    return {"id": str(path), "outcome": outcome, "faces": faces, "error": error}

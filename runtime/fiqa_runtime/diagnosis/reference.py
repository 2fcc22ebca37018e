"""Scores that somebody else computed are read from their file, and matched with the images here.

| file   | content                                                                                        |
|--------|------------------------------------------------------------------------------------------------|
| `.csv` | `image,score` with or without a header, or what ``fiqa-score --csv`` and ``--quality-file`` write |
| `.txt` | `path score` per line, CR-FIQA's quality file                                                  |

Where an image has several lines, the last one counts; where the lines have boxes, the one of the largest face.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fiqa_runtime.errors import InputError
from fiqa_runtime.system.documents import parse_csv, read_text
from fiqa_runtime.system.names import ImageNames

IMAGE_COLUMNS = ("image", "path", "file", "filename", "name")
SCORE_COLUMNS = ("score", "quality")

Line = tuple[str, str, float]
"""Image, score as written, area of the face (0 where the file has no boxes)."""


@dataclass(frozen=True)
class MatchedScores:
    """Images here with their scores from elsewhere."""

    scores: Mapping[Path, float]
    """By image, in the order of the images."""
    without_image: tuple[str, ...]
    """Names in the file that no image here has."""
    without_score: tuple[Path, ...]
    """Images here that the file does not name."""
    no_number: tuple[str, ...]
    """Names in the file whose score is NaN or infinite."""


def read_reference(path: Path) -> dict[str, float]:
    """Scores by image as the file names it; raises InputError where it cannot be read or holds something else."""
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; name the file with the other scores") from error
    except ValueError as error:
        raise InputError(f"{path} is not text; write the scores as CSV with the columns image and score") from error
    lines = _text_lines(path, text) if path.suffix.lower() == ".txt" else _csv_lines(path, text)
    found: dict[str, tuple[float, float]] = {}
    for image, score, area in lines:
        if image not in found or area >= found[image][1]:
            found[image] = _number(path, image, score), area
    if not found:
        raise InputError(f"{path} holds no scores; write a line 'image,score' for each image")
    return {image: score for image, (score, _) in found.items()}


def match_reference(reference: Mapping[str, float], images: Sequence[Path]) -> MatchedScores:
    """Find the image of every name, as :class:`fiqa_runtime.system.names.ImageNames` does.

    Where several names fit one image, the one that shares most counts; the others name images that are not here. Raises
    InputError where two images fit a name equally well, or two names one image.
    """
    names = ImageNames(images)
    candidates: dict[Path, list[str]] = {}
    for name in reference:
        if (index := names.find(name)) is not None:
            candidates.setdefault(images[index], []).append(name)
    named = {image: _best_name(image, names) for image, names in candidates.items()}
    used = set(named.values())
    scores = {image: reference[named[image]] for image in images if image in named}
    return MatchedScores(
        {image: score for image, score in scores.items() if math.isfinite(score)},
        tuple(name for name in reference if name not in used),
        tuple(image for image in images if image not in named),
        tuple(named[image] for image, score in scores.items() if not math.isfinite(score)),
    )


def _best_name(image: Path, names: Sequence[str]) -> str:
    alone = ImageNames([image])
    ranks = [alone.closeness(name, 0) for name in names]
    best, *others = [name for name, rank in zip(names, ranks, strict=True) if rank == max(ranks)]
    if others:
        raise InputError(f"{best} and {others[0]} both fit {image}; write the folders into the reference")
    return best


def _text_lines(path: Path, text: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        parts = line.rsplit(maxsplit=1)
        if len(parts) < 2:
            raise InputError(f"line {number} of {path} is not 'path score'; repair it or write a CSV")
        yield parts[0], parts[1], 0.0


def _csv_lines(path: Path, text: str) -> Iterator[Line]:
    try:
        rows = parse_csv(text)
    except ValueError as error:
        raise InputError(f"{path} is not CSV ({error}); write a line 'image,score' for each image") from error
    if not rows:
        return
    columns = [title.strip().lower() for title in rows[0]]
    image, score = (_column(columns, names) for names in (IMAGE_COLUMNS, SCORE_COLUMNS))
    if image is None or score is None:
        if len(columns) != 2 or not _is_number(columns[1]):
            raise InputError(f"{path} has the columns {', '.join(columns)}; name them image and score")
        image, score, columns = 0, 1, []
    ours = "outcome" in columns
    sides = [columns.index(side) for side in ("width", "height") if side in columns]
    for row in rows[1:] if columns else rows:
        if len(row) <= max(image, score):
            raise InputError(f"{path} has a line with {len(row)} fields ('{','.join(row)}'); give image and score")
        if ours and not row[score]:
            continue  # an image without a face, or one that was refused
        lengths = [row[side] for side in sides if side < len(row) and row[side]]
        area = math.prod(map(float, lengths)) if len(lengths) == 2 and all(map(_is_number, lengths)) else 0.0
        yield row[image], row[score], area


def _column(columns: Sequence[str], names: Iterable[str]) -> int | None:
    return next((columns.index(name) for name in names if name in columns), None)


def _number(path: Path, image: str, score: str) -> float:
    if not _is_number(score):
        raise InputError(
            f"{path} gives {image} the score '{score}', which is not a number; repair or leave out the line"
        )
    return float(score)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

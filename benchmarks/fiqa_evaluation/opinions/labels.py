"""Reads opinion scores of images, from label files of GFIQA and CGFIQA-40k or any CSV, and matches them with files."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.system.documents import parse_csv, parse_json, read_text
from fiqa_runtime.system.names import ImageNames
from numpy.typing import NDArray

Row = tuple[object, object]


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with their mean opinion scores, and what could not be matched."""

    paths: tuple[Path, ...]
    """Image files that have a label, in the order of the label file (N)."""
    mos: NDArray[np.float64]
    """(N,): mean opinion score of each, in the units of the label file, higher is better."""
    missing: tuple[str, ...]
    """Labels whose image was not found."""
    unlabelled: tuple[Path, ...]
    """Images without a label."""

    def __str__(self) -> str:
        return (
            f"{len(self.paths)} labelled images, {len(self.missing)} labels without image, "
            f"{len(self.unlabelled)} images without label"
        )

    def __repr__(self) -> str:
        return f"<LabelledImages {self}>"


def read_labels(path: Path) -> dict[str, float]:
    """Mean opinion scores by image name, spelt as in the file.

    `path` is a `.json` file (a list of `{"Image": name, "MOS": number}`, the same two keys with one list or one
    dictionary each, or `{name: number}`), a `.csv` file with the columns image and mos among others (in upper or lower
    case), or a folder with `label.json`. Raises InputError where the file has another form, is empty, names an image
    twice with different scores, or holds a score that is not a finite number.
    """
    if path.is_dir():
        path = path / "label.json"
    try:
        text = read_text(path)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}; give a label.json or a CSV with image and mos"
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is not text; give a label.json or a CSV with image and mos") from error
    return _checked(_csv_rows(text, path) if path.suffix.lower() == ".csv" else _json_rows(text, path), path)


def read_groups(path: Path, column: str) -> dict[str, str]:
    """What stands in `column` by image name: of a CSV with a column image, or of a list of JSON tables with "Image".

    Names of columns are compared without regard to case. Raises InputError where the column is not there, an image is
    named twice with different values, or the file has another form.
    """
    path = path / "label.json" if path.is_dir() else path
    rows = _tables(path)
    found: dict[str, str] = {}
    for row in rows:
        fields = {str(key).strip().lower(): value for key, value in row.items()}
        image, value = fields.get("image"), fields.get(column.lower())
        if not isinstance(image, str) or not image.strip():
            raise InputError(f"{path} has a line without image; name the image in a column image")
        if value is None or isinstance(value, dict | list):
            known = ", ".join(key for key in fields if key not in ("image", "mos")) or "none"
            raise InputError(f"{path} has no column '{column}' for '{image}' (it has {known}); name one of its columns")
        text = str(value).strip() or "(empty)"
        if found.setdefault(image.strip(), text) != text:
            raise InputError(f"{path}: image '{image}' is both '{found[image.strip()]}' and '{text}'; keep one of them")
    return found


def check_range(labels: Mapping[str, float], low: float, high: float) -> None:
    """Raise InputError where an opinion score is outside `low` to `high`."""
    outside = [(image, mos) for image, mos in labels.items() if not low <= mos <= high]
    if outside:
        image, mos = outside[0]
        raise InputError(
            f"{len(outside)} of {len(labels)} opinion scores are outside {low:g} to {high:g}, as {mos:g} of '{image}'; "
            "correct them, or the range"
        )


def match_labels(labels: Mapping[str, float], images: Sequence[Path], root: Path) -> LabelledImages:
    """Match label names with image files below `root`.

    Which image a label means :class:`fiqa_runtime.system.names.ImageNames` says. Labels without image and images
    without label are listed in the result. Raises InputError where a name fits several files, two labels mean one file,
    or nothing matches.
    """
    names = ImageNames(images, root)
    found: dict[Path, float] = {}
    missing: list[str] = []
    for label, mos in labels.items():
        index = names.find(label)
        if index is None:
            missing.append(label)
        elif images[index] in found:
            raise InputError(f"two labels mean {images[index]}, the second is '{label}'; keep one of them")
        else:
            found[images[index]] = mos
    if not found:
        example = f", such as '{missing[0]}'" if missing else ""
        raise InputError(
            f"none of {len(labels)} labels{example}, names one of {len(images)} images in {root}; check both"
        )
    unlabelled = tuple(path for path in images if path not in found)
    return LabelledImages(tuple(found), np.array(list(found.values())), tuple(missing), unlabelled)


def _checked(rows: Iterable[Row], path: Path) -> dict[str, float]:
    labels: dict[str, float] = {}
    for image, value in rows:
        try:
            mos = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            mos = math.nan
        if not isinstance(image, str) or not image or isinstance(value, bool) or not math.isfinite(mos):
            raise InputError(
                f"{path}: the score of image '{image}' is '{value!s:.80}'; give a number to each or drop the line"
            )
        if labels.setdefault(image, mos) != mos:
            raise InputError(f"{path}: image '{image}' has the scores {labels[image]:g} and {mos:g}; keep one of them")
    if not labels:
        raise InputError(f"{path} holds no labels; give an image name and a score for each image")
    return labels


def _tables(path: Path) -> list[dict[str, object]]:
    """The lines of a table as dictionaries by column."""
    try:
        text = read_text(path)
        if path.suffix.lower() == ".csv":
            header, *rows = parse_csv(text) or [[]]
            return [dict(zip(header, row, strict=True)) for row in rows]
        data = parse_json(text)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; give a CSV with image and the column") from error
    except ValueError as error:
        raise InputError(f"{path} is not a table ({error}); give a CSV with image and the column") from error
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise InputError(f"{path} is not a list of tables; give a CSV with image and the column")
    return data


def _csv_rows(text: str, path: Path) -> list[Row]:
    try:
        header, *rows = parse_csv(text)
    except ValueError as error:
        raise InputError(f"{path} is not CSV ({error}); give a header with image and mos, then lines") from error
    columns = [name.strip().lower() for name in header]
    if columns.count("image") != 1 or columns.count("mos") != 1:
        raise InputError(f"{path} has the columns {columns}; call one of them image and one mos")
    short = [row for row in rows if len(row) != len(columns)]
    if short:
        raise InputError(f"{path}: the line {short[0]} does not have {len(columns)} columns; complete it")
    return [(row[columns.index("image")].strip(), row[columns.index("mos")]) for row in rows]


def _json_rows(text: str, path: Path) -> list[Row]:
    try:
        data = parse_json(text)
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); give a label.json or a .csv with image and mos") from error
    if isinstance(data, list) and all(isinstance(row, dict) and {"Image", "MOS"} <= row.keys() for row in data):
        return [(row["Image"], row["MOS"]) for row in data]
    if isinstance(data, dict) and {"Image", "MOS"} <= data.keys():
        images, scores = data["Image"], data["MOS"]
        if isinstance(images, dict) and isinstance(scores, dict) and images.keys() == scores.keys():
            return [(image, scores[key]) for key, image in images.items()]
        if isinstance(images, list) and isinstance(scores, list) and len(images) == len(scores):
            return list(zip(images, scores, strict=True))
    elif isinstance(data, dict):
        return list(data.items())
    raise InputError(f'{path} is not a label file; expected a list of {{"Image": "a.png", "MOS": 0.5}}')

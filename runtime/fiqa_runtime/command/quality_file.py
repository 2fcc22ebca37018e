"""Scores in files that evaluation code of others reads: one score per image, in CR-FIQA's format, CSV or Parquet.

| suffix     | content                                                                        |
|------------|--------------------------------------------------------------------------------|
| `.txt`     | `path score` per line, as CR-FIQA's scripts write and read it                  |
| `.csv`     | the columns path and quality                                                   |
| `.parquet` | the columns path (string) and quality (float32); needs pyarrow                 |

Paths are written as they were given or found, with forward slashes. A score is written with just the digits from
which the same float32 is read again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from fiqa_runtime.command.results import ImageResult
from fiqa_runtime.errors import InputError
from fiqa_runtime.rows.schema import require_pyarrow
from fiqa_runtime.system.files import write_bytes, write_text

Scores = Mapping[str, float]
"""By path."""


class QualityFile:
    """Collects one score per image and writes them to `path` at the end.

    A photo with several faces gets the score of the largest one. Raises InputError for an unknown suffix, for a path
    with a blank in a `.txt` file, whose fields are separated by blanks, and for a path that is not UTF-8 in a
    `.parquet` file; DependencyError where pyarrow is not installed.
    """

    def __init__(self, path: Path, images: Sequence[Path]) -> None:
        """`images` are the files to be scored; they are looked at only by name."""
        self.path = path
        if path.suffix.lower() not in _WRITERS:
            raise InputError(f"the format of {path} is not known; end the name in {', '.join(_WRITERS)}")
        self._write = _WRITERS[path.suffix.lower()]
        blank = [image for image in images if len(image.as_posix().split()) != 1]
        if self._write is _write_cr_fiqa and blank:
            raise InputError(f"'{blank[0]}' has a blank in its path, which {path.name} cannot hold; use .csv or rename")
        if self._write is _write_parquet:
            require_pyarrow()
            refuse_names_that_are_not_utf8(path, images)
        self._scores: dict[str, float] = {}
        self._without_face: list[Path] = []

    def __repr__(self) -> str:
        return f"<QualityFile {self.path}, {len(self._scores)} scores>"

    def __len__(self) -> int:
        return len(self._scores)

    def add(self, result: ImageResult) -> None:
        """Take the score of an image that has one."""
        if result.error:
            return
        quality = result.quality
        if result.faces is not None:
            if not result.faces:
                self._without_face.append(result.path)
                return
            quality = max(result.faces, key=lambda face: float(face.box[2] * face.box[3])).quality
        assert quality is not None, "a ready crop without error has a score"
        self._scores[result.path.as_posix()] = quality

    def write(self) -> None:
        """Write what was added; raises InputError where the folder cannot be written."""
        self._write(self.path, self._scores)

    def complaint(self) -> InputError | None:
        """What to say about photos without a face, which are not in the file."""
        if not self._without_face:
            return None
        return InputError(
            f"{len(self._without_face)} photos without a face are not in {self.path}, as {self._without_face[0]}; "
            "leave them out of the evaluation, or score crops with --aligned"
        )


def refuse_names_that_are_not_utf8(path: Path, images: Iterable[Path]) -> None:
    """Raise InputError where one of `images` has a name that the Parquet file `path` cannot hold."""
    for image in images:
        try:
            str(image).encode()
        except UnicodeEncodeError as error:
            raise InputError(f"'{image}' is not UTF-8, which {path.name} cannot hold; use .csv or rename") from error


def _digits(score: float) -> str:
    return str(np.float32(score))


def _write_cr_fiqa(path: Path, scores: Scores) -> None:
    write_text(path, "".join(f"{image} {_digits(score)}\n" for image, score in scores.items()))


def _write_csv(path: Path, scores: Scores) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "quality"))
    writer.writerows((image, _digits(score)) for image, score in scores.items())
    write_text(path, text.getvalue())


def _write_parquet(path: Path, scores: Scores) -> None:
    import pyarrow
    from pyarrow import parquet

    columns = {
        "path": pyarrow.array(list(scores), pyarrow.string()),
        "quality": pyarrow.array(list(scores.values()), pyarrow.float32()),
    }
    data = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), data)
    write_bytes(path, data.getvalue())


_WRITERS: dict[str, Callable[[Path, Scores], None]] = {
    ".txt": _write_cr_fiqa,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}

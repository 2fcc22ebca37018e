"""Reads the file formats of CR-FIQA's evaluation (github.com/fdbtrs/CR-FIQA) as they are.

| what       | file                                              | line                        |
|------------|---------------------------------------------------|-----------------------------|
| pairs      | `<scores>/<dataset>/pair_list.txt`                | `name_a name_b 1` (or `0`)  |
| quality    | `<scores>/<dataset>/<method>_<dataset>.txt`       | `.../images/<name>.jpg 0.5` |
| embeddings | `<embeddings>/<dataset>_<model>/<name>.npy`       | one vector per image        |
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.system.documents import open_text, parse_csv, read_array, read_text
from fiqa_runtime.system.names import ImageNames
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK = 4096
"""Embeddings that are checked at once."""
LOWER_IS_BETTER = frozenset({"PFE"})
"""Methods whose scores CR-FIQA's scripts reverse; they go by the name alone."""


@dataclass(frozen=True, eq=False)
class PairList:
    """A list of image pairs."""

    names: tuple[str, ...]
    """Distinct image names, in order of first appearance (N)."""
    pairs: Ints
    """(P, 2): indices into `names`."""
    genuine: NDArray[np.bool_]
    """(P,): whether both images show the same person."""


def read_pairs(path: Path) -> PairList:
    """Read lines `name_a name_b 1` or `... 0`; raises InputError for any other line, and for a file without pairs."""
    index: dict[str, int] = {}
    ends, genuine = array("q"), bytearray()
    for number, line in numbered_lines(path):
        fields = line.split()
        if len(fields) != 3 or fields[2] not in ("0", "1"):
            got = line.strip()[:80]
            raise InputError(f"{path}, line {number}: write 'name_a name_b 1' (same person) or '... 0', not '{got}'")
        one, other, same = fields
        ends.append(index.setdefault(one, len(index)))
        ends.append(index.setdefault(other, len(index)))
        genuine.append(same == "1")
    if not genuine:
        raise InputError(f"{path} holds no pairs; give lines of 'name_a name_b 1' (same person) or '... 0'")
    return PairList(tuple(index), np.array(ends, np.int64).reshape(-1, 2), np.array(genuine, np.bool_))


def read_quality(path: Path, names: Sequence[str]) -> Floats:
    """Scores (N,) float64 of the images `names` from lines of `path score`, or from a `.csv` with the columns path and
    quality, as ``fiqa-score --quality-file`` writes both.

    Which line a name means :class:`fiqa_runtime.system.names.ImageNames` says. Of repeated paths the last counts;
    images that are not in `names` are ignored. Raises InputError for a line of another form, a score that is not a
    finite number, names that several images fit, and names without a score (the message counts them and names the
    first).
    """
    scores = _csv_scores(path) if path.suffix.lower() == ".csv" else _text_scores(path)
    images = list(scores)
    known = ImageNames(images)
    found = [known.find(name) for name in names]
    missing = [name for name, index in zip(names, found, strict=True) if index is None]
    if missing:
        example = f" (it has '{images[0]}')" if images else ""
        raise InputError(
            f"{path} lacks {len(missing)} of {len(names)} images, as '{missing[0]}'{example}; "
            "score them too, and write the names alike in both files"
        )
    return np.array([scores[images[index]] for index in found if index is not None])


def _text_scores(path: Path) -> dict[str, float]:
    scores: dict[str, float] = {}
    for number, line in numbered_lines(path):
        image, value = _path_and_score(line)
        if not image or not math.isfinite(value):
            raise InputError(f"{path}, line {number}: expected 'path score', got '{line.strip()[:80]}'; score it again")
        scores[image] = value
    return scores


def _csv_scores(path: Path) -> dict[str, float]:
    try:
        header, *rows = parse_csv(read_text(path)) or [[]]
        place = [header.index(column) for column in ("path", "quality")]
        scores = {row[place[0]]: float(row[place[1]]) for row in rows}
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    except (ValueError, IndexError) as error:
        raise InputError(
            f"{path} is not a table of path and quality ({error}); write it with --quality-file"
        ) from error
    if not all(map(math.isfinite, scores.values())):
        raise InputError(f"{path} holds a score that is not finite; score it again")
    return scores


def read_embeddings(folder: Path, names: Sequence[str]) -> NDArray[np.floating]:
    """Vectors (N, D) of `<folder>/<name>.npy` in the dtype of the files, one row per name.

    It takes the memory of the array itself. Raises InputError where a file is missing, is not a `.npy` file of one
    vector of finite numbers, is all zero, or has another length than the first.
    """
    first = _read_vector(folder / f"{names[0]}.npy")
    head = _head(folder / f"{names[0]}.npy", first)
    table = np.empty((len(names), first.size), first.dtype)
    for start in range(0, len(names), BLOCK):
        block = names[start : start + BLOCK]
        for row, name in enumerate(block, start):
            path = folder / f"{name}.npy"
            vector = _alike(path, head, first)
            if vector is None:
                vector = _read_vector(path)
            if vector.size != first.size:
                raise InputError(
                    f"{path} has {vector.size} numbers, {names[0]}.npy {first.size}; extract all with one model"
                )
            if vector.dtype != table.dtype:
                table = table.astype(np.promote_types(table.dtype, vector.dtype), copy=False)
            table[row] = vector
        rows = table[start : start + len(block)]
        good = np.isfinite(rows).all(axis=1) & rows.any(axis=1)
        if not good.all():
            raise _unusable(folder / f"{block[int(np.argmin(good))]}.npy")
    return table


def method_name(path: Path, dataset: str) -> str:
    """The name of the method of a quality file: `GOOD` for `GOOD_<dataset>.txt`, the whole stem where it does not end
    with the data set."""
    return path.stem.removesuffix(f"_{dataset}")


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines of a text file, blank ones left out."""
    try:
        with open_text(path) as stream:
            for number, line in enumerate(stream, 1):
                if not line.isspace():
                    yield number, line
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not text; give a pair list or quality file as CR-FIQA writes it") from error


def _path_and_score(line: str) -> tuple[str, float]:
    path, *score = line.rsplit(None, 1)
    try:
        return path.strip(), float(*score) if score else math.nan
    except ValueError:
        return path.strip(), math.nan


def _read_vector(path: Path) -> NDArray[np.floating]:
    try:
        values = read_array(path)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror or error}; extract the embedding of this image"
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is not a .npy file of numbers; extract the embedding of this image again") from error
    if values.dtype.kind not in "fiu" or not values.size == max(values.shape, default=0):
        raise InputError(f"{path} does not hold one vector of numbers; extract one embedding per image")
    vector = values.reshape(-1)
    vector = vector if vector.dtype.kind == "f" else vector.astype(np.float64)
    if not np.isfinite(vector).all() or not vector.any():
        raise _unusable(path)
    return vector


def _unusable(path: Path) -> InputError:
    return InputError(f"{path} is zero or not finite; extract the embedding of this image again")


def _head(path: Path, vector: NDArray[np.floating]) -> bytes:
    """What stands before the numbers in the file of `vector`; empty where the file holds anything else."""
    content = path.read_bytes()
    head = content[: len(content) - vector.nbytes]
    return head if content[len(head) :] == vector.tobytes() else b""


def _alike(path: Path, head: bytes, first: NDArray[np.floating]) -> NDArray[np.floating] | None:
    """The numbers of a file that begins as the first one does and is as long, which saves parsing the same head again;
    None for any other file."""
    try:
        with path.open("rb", buffering=0) as stream:
            content = stream.read(len(head) + first.nbytes + 1)
    except OSError:
        return None
    if not head or len(content) != len(head) + first.nbytes or not content.startswith(head):
        return None
    return np.frombuffer(content, first.dtype, offset=len(head))

"""Keeps scores beyond an interrupted run, in one SQLite file with the hashes of image and engine as keys."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.system.files import sha256_file
from numpy.typing import NDArray

_TABLE = (
    "CREATE TABLE IF NOT EXISTS scores (image TEXT, engine TEXT, setup TEXT, score REAL NOT NULL, "
    "PRIMARY KEY (image, engine, setup)) WITHOUT ROWID"
)
_QUERY_SIZE = 500
EVERY = 1.0
"""Seconds between two writes to the disk."""


class ScoreCache:
    """Scores of one engine in the SQLite file `path`, which many engines share.

        with ScoreCache(Path("scores.sqlite"), engine=sha256_file(artefact), setup="onnxruntime") as cache:
            scores = score_images(images, cache, score)

    `engine` is the SHA-256 of the artefact, `setup` everything else that changes a score (backend, alignment). Scores
    are kept from the moment at which :meth:`put` returns, even if the process is killed then; a half-written change is
    undone when the file is opened next. Several processes may share a file. Raises InputError where it cannot be opened
    or is damaged.
    """

    def __init__(self, path: Path, engine: str, setup: str = "") -> None:
        self.path, self.engine, self.setup = path, engine, setup
        try:
            self._connection = sqlite3.connect(path, timeout=60)
        except sqlite3.Error as error:
            raise self._damaged(error) from error
        try:
            with self._connection:
                self._connection.execute(_TABLE)
        except sqlite3.Error as error:
            self.close()
            raise self._damaged(error) from error

    def __repr__(self) -> str:
        return f"<ScoreCache {self.path}, engine {self.engine[:12]} {self.setup}>"

    def __enter__(self) -> ScoreCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, which already holds everything that was put."""
        self._connection.close()

    def get(self, images: Sequence[str]) -> dict[str, float]:
        """Scores by SHA-256 of the image; images without a known score are left out."""
        found: dict[str, float] = {}
        try:
            for start in range(0, len(images), _QUERY_SIZE):
                part = images[start : start + _QUERY_SIZE]
                marks = ",".join("?" * len(part))
                query = f"SELECT image, score FROM scores WHERE engine = ? AND setup = ? AND image IN ({marks})"
                found.update(self._connection.execute(query, (self.engine, self.setup, *part)))
        except sqlite3.Error as error:
            raise self._damaged(error) from error
        return found

    def put(self, scores: Mapping[str, float]) -> None:
        """Keep scores by SHA-256 of the image, all of them or none; raises InputError where one is not finite."""
        wrong = [image for image, score in scores.items() if not math.isfinite(score)]
        if wrong:
            raise InputError(f"the score of image {wrong[0][:12]} is {scores[wrong[0]]}; run fiqa-score --self-test")
        rows = [(image, self.engine, self.setup, float(score)) for image, score in scores.items()]
        try:
            with self._connection:
                self._connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?)", rows)
        except sqlite3.Error as error:
            raise self._damaged(error) from error

    @contextmanager
    def gathering(self) -> Iterator[Callable[[Mapping[str, float]], None]]:
        """Gives a function that puts scores a second's worth at a time, since each write to the disk takes as long as
        some scores; what is left is put at the end, also where the work is interrupted."""
        waiting: dict[str, float] = {}
        due = time.monotonic() + EVERY

        def gather(scores: Mapping[str, float]) -> None:
            nonlocal due
            waiting.update(scores)
            if time.monotonic() > due:
                self.put(waiting)
                waiting.clear()
                due = time.monotonic() + EVERY

        try:
            yield gather
        finally:
            self.put(waiting)

    def _damaged(self, error: sqlite3.Error) -> InputError:
        return InputError(f"{self.path} cannot be used as a score cache ({error}); delete it or name another file")


def score_images(
    paths: Sequence[Path],
    cache: ScoreCache,
    score: Callable[[Sequence[Path]], Sequence[float] | NDArray[np.floating]],
    batch: int = 32,
) -> NDArray[np.float64]:
    """Scores (N,) of the files `paths`; those that `cache` does not know go through `score` in batches.

    Every batch is kept as soon as it is scored, so that an interrupted run goes on where it stopped. Files with the
    same bytes are scored once. Raises InputError where a file cannot be read or a score is not finite.
    """
    digests = [_digest(path) for path in paths]
    files = dict(zip(digests, paths, strict=True))
    known = cache.get(list(files))
    waiting = [digest for digest in files if digest not in known]
    for start in range(0, len(waiting), batch):
        part = waiting[start : start + batch]
        values = score([files[digest] for digest in part])
        fresh = {digest: float(value) for digest, value in zip(part, values, strict=True)}
        cache.put(fresh)
        known.update(fresh)
    return np.array([known[digest] for digest in digests])


def _digest(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error

"""Files of pictures as a source of Ray Data, which reads each of them in a task of its own, on any machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from fiqa_runtime.errors import InputError
from fiqa_runtime.rows.pictures import Pictures, open_packed
from fiqa_runtime.rows.schema import picture_schema
from fiqa_runtime.rows.stores import PACKED, StoredFile, told_by_store
from fiqa_runtime.rows.tar_shard import MOST_BYTES

IN_A_BLOCK = 4 << 20
"""Bytes of image files that are handed on together, so that several actors have work where there are few."""
MOST_IN_A_TASK = 1024
"""Loose files that one task reads."""


class PictureSource(Datasource):  # type: ignore[misc]  # Ray has no types
    """The pictures in `files`; `columns` says where they are in Parquet files.

    A file that cannot be read is a row with an `error`, as is what cannot be used of a tar or Parquet file.
    """

    def __init__(self, files: Sequence[StoredFile], columns: Pictures) -> None:
        super().__init__()
        self._files = files
        self._columns = columns

    def estimate_inmemory_data_size(self) -> int:
        return sum(file.size for file in self._files)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        return [
            ReadTask(
                partial(_blocks, group, self._columns),
                BlockMetadata(None, sum(file.size for file in group), [file.name for file in group], None),
                picture_schema(),
                per_task_row_limit,
            )
            for group in groups_of(self._files, parallelism)
        ]


def groups_of(files: Sequence[StoredFile], count: int) -> Iterator[list[StoredFile]]:
    """`files` in about `count` groups, in their order; a tar or Parquet file, which holds many pictures, is alone."""
    most = min(MOST_IN_A_TASK, max(1, len(files) // max(1, count)))
    group: list[StoredFile] = []
    for file in files:
        if file.suffix.lower() in PACKED:
            yield [file]
            continue
        group.append(file)
        if len(group) == most:
            yield group
            group = []
    if group:
        yield group


def _blocks(files: Sequence[StoredFile], columns: Pictures) -> Iterator[Any]:
    rows: list[dict[str, Any]] = []
    size = 0
    for row in (row for file in files for row in rows_of(file, columns)):
        rows.append(row)
        size += len(row["bytes"] or b"")
        if size >= IN_A_BLOCK:
            yield pa.Table.from_pylist(rows, picture_schema())
            rows, size = [], 0
    yield pa.Table.from_pylist(rows, picture_schema())


def rows_of(file: StoredFile, columns: Pictures) -> Iterator[dict[str, Any]]:
    """The pictures in `file`, as rows of id, bytes, error; ids are those of ``fiqa-score``: ``shard.tar/key.jpg``."""
    try:
        if file.suffix.lower() not in PACKED:
            yield _row(file.name, _loose(file))
            return
        inside = open_packed(columns, file)
    except (InputError, OSError) as error:
        yield _row(file.name, error=error)
        return
    for name in inside.names:
        try:
            yield _row(f"{file}/{name}", inside.read(name))
        except InputError as error:
            yield _row(f"{file}/{name}", error=error)
    if inside.problem or not inside.names:
        yield _row(file.name, error=InputError(inside.problem or f"{file} holds no pictures; name another file"))


def _loose(file: StoredFile) -> bytes:
    if file.size > MOST_BYTES:
        raise InputError(f"{file} has {file.size:,} bytes, more than {MOST_BYTES:,}; shrink it")
    return file.read()


def _row(name: str, data: bytes | None = None, error: Exception | None = None) -> dict[str, Any]:
    if isinstance(error, OSError):
        error = InputError(f"cannot read {name}: {told_by_store(error)}; check it and your rights")
    return {"id": name, "bytes": data, "error": None if error is None else str(error)}

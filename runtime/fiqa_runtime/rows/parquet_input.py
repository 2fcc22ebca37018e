"""Pictures in a column of a Parquet file, read a few rows at a time."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

from fiqa_runtime.errors import InputError
from fiqa_runtime.rows.schema import require_pyarrow
from fiqa_runtime.rows.stores import StoredFile, told_by_store

IMAGE_COLUMNS = ("bytes", "image")
"""Where pictures are looked for if no column is named: bytes, or a struct with a field `bytes`, as Hugging Face's."""
ID_COLUMNS = ("id", "key", "__key__")
"""Where names are looked for; without any, a picture is called by the number of its row, from 0."""
AT_ONCE = 16
"""Rows that are read together."""
KEPT = 4
"""Such pieces that stay, since several threads are not at the same row."""


class ParquetPictures:
    """The pictures of the Parquet file `path`, in its order; None for a column is the usual one.

    Raises InputError where that is not a Parquet file or lacks the columns, and where an id is null or comes twice;
    DependencyError without pyarrow.
    """

    problem: str | None = None
    """Why something in it is not among its pictures."""

    def __init__(self, path: Path | StoredFile, image_column: str | None, id_column: str | None) -> None:
        require_pyarrow()
        import pyarrow as pa
        from pyarrow import parquet

        self.path = path
        try:
            source = path if isinstance(path, Path) else path.open("rb")
            self._file = parquet.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20)
            self._column = _image_column(path, self._file.schema_arrow, image_column)
            names = self._names(_id_column(path, self._file.schema_arrow, id_column))
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"{path} cannot be read as Parquet ({told_by_store(error)}); copy it again") from error
        self._rows = _rows_by_name(path, names)
        groups = range(self._file.num_row_groups)
        counts = [self._file.metadata.row_group(group).num_rows for group in groups]
        self._starts = list(accumulate(counts, initial=0))[:-1]
        self._lock = Lock()
        self._kept: deque[tuple[int, Any]] = deque(maxlen=KEPT)
        self._following: Iterator[tuple[int, Any]] = iter(())
        self._group, self._next = -1, 0

    @property
    def names(self) -> list[str]:
        """Of its pictures, each once, with forward slashes."""
        return [*self._rows]

    def read(self, name: str) -> bytes:
        """The bytes of the picture `name`; raises InputError where it is not there."""
        import pyarrow as pa

        row = self._rows.get(name)
        if row is None:
            raise InputError(f"there is no image {name} in {self.path}; check the spelling")
        try:
            with self._lock:
                value = self._value(row)
        except (pa.ArrowException, OSError) as error:
            told = told_by_store(error)
            raise InputError(f"{self.path} cannot be read at row {row} ({told}); copy it again") from error
        if isinstance(value, dict):
            value = value["bytes"]
        if value is None:
            raise InputError(f"{self.path} has no bytes for {name}; fill them in")
        return bytes(value)

    def _value(self, row: int) -> Any:
        """Of the column; rows in their order are read as they come, others from the start of their row group."""
        while True:
            for start, column in self._kept:
                if start <= row < start + len(column):
                    return column[row - start].as_py()
            group = bisect_right(self._starts, row) - 1
            if group != self._group or self._next > row:
                self._group, self._following = group, self._pieces(group)
            start, column = next(self._following, (row, None))
            if column is None:
                raise OSError("fewer rows than it says")
            self._kept.append((start, column))
            self._next = start + len(column)

    def _pieces(self, group: int) -> Iterator[tuple[int, Any]]:
        start = self._starts[group]
        for batch in self._file.iter_batches(AT_ONCE, row_groups=[group], columns=[self._column], use_threads=False):
            yield start, batch.column(0)
            start += batch.num_rows

    def _names(self, column: str | None) -> list[str | None]:
        if column is None:
            return [str(row) for row in range(self._file.metadata.num_rows)]
        values = self._file.read([column], use_threads=False).column(column).to_pylist()
        return [None if value is None else str(value) for value in values]


def _image_column(path: Path | StoredFile, schema: Any, named: str | None) -> str:
    """The column of `schema` that holds pictures, as pyarrow wants it named."""
    import pyarrow as pa

    column = _existing(path, schema, "--image-column", IMAGE_COLUMNS if named is None else (named,))
    if column is None:
        raise InputError(
            f"{path} has none of the columns {', '.join(IMAGE_COLUMNS)}; name the one with the pictures by "
            f"--image-column, of {', '.join(schema.names)}"
        )
    kind = schema.field(column).type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        column, kind = f"{column}.bytes", kind.field("bytes").type
    if kind not in (pa.binary(), pa.large_binary()):
        raise InputError(f"the column {column} of {path} is {kind} and not the bytes of image files; name another one")
    return column


def _id_column(path: Path | StoredFile, schema: Any, named: str | None) -> str | None:
    import pyarrow as pa

    column = _existing(path, schema, "--id-column", ID_COLUMNS if named is None else (named,))
    if column is None:
        return None
    kind = schema.field(column).type
    if kind not in (pa.string(), pa.large_string()) and not pa.types.is_integer(kind):
        raise InputError(f"the column {column} of {path} is {kind}; --id-column names one of strings or whole numbers")
    return column


def _existing(path: Path | StoredFile, schema: Any, option: str, names: Sequence[str]) -> str | None:
    found = [name for name in names if name in schema.names]
    if not found and len(names) == 1:
        raise InputError(f"{path} has no column {names[0]}; {option} takes one of {', '.join(schema.names)}")
    return found[0] if found else None


def _rows_by_name(path: Path | StoredFile, names: Sequence[str | None]) -> dict[str, int]:
    rows: dict[str, int] = {}
    for row, given in enumerate(names):
        name = str(PurePosixPath((given or "").lstrip("/")))
        if not given or name == "." or ".." in PurePosixPath(name).parts or "\0" in name:
            raise InputError(f"{path} has the id {given!r} in row {row}, which is not a name; take another --id-column")
        if rows.setdefault(name, row) != row:
            raise InputError(f"{path} has the id {name} twice; give every row its own, or take another --id-column")
    return rows

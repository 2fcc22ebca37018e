"""Results as a Parquet file, made of the lines of JSON that a run has written.

A Parquet file ends with the list of its row groups, so that one that was cut cannot be read, nor gone on with. So a run
writes lines, which can be, and the file is made of them at the end, a row group at a time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from fiqa_runtime.rows.schema import face_type

IN_A_GROUP = 16384
"""Rows of a row group, which is what a reader takes at least."""
AT_ONCE = 1024
"""Lines that become Python objects at a time."""


def file_schema() -> Any:
    """The ``pyarrow.Schema`` of the file: that of :mod:`fiqa_runtime.rows.schema`, what became of each picture, and
    whether each face is accepted (null where there is no threshold)."""
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("outcome", pa.string()),
            ("faces", pa.list_(face_type(decided=True))),
            ("error", pa.string()),
        ]
    )


def to_parquet(lines: Path, target: Path) -> None:
    """Write the rows that stand as JSON in the file `lines`, one a line, to the Parquet file `target`."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = file_schema()
    with lines.open(encoding="utf-8") as stream, parquet.ParquetWriter(target, schema) as writer:
        rows = iter(stream)
        while batches := list(_batches(rows, schema)):
            writer.write_table(pa.Table.from_batches(batches), IN_A_GROUP)


def _batches(lines: Iterator[str], schema: Any) -> Iterator[Any]:
    """The record batches of the next row group."""
    import pyarrow as pa

    for _ in range(0, IN_A_GROUP, AT_ONCE):
        rows = [json.loads(line) for line in islice(lines, AT_ONCE)]
        if rows:
            yield pa.RecordBatch.from_pylist(rows, schema)

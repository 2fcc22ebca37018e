"""The columns of rows, as they come in and as they go out, and what is wrong with those of a table.

Coming in, each row is a picture:

| column  | type   | content                                                              |
|---------|--------|----------------------------------------------------------------------|
| `id`    | string | never null, and each but once in a table                             |
| `bytes` | binary | an image file as it lies on disk: JPEG, PNG and what OpenCV reads    |
| `path`  | string | where that file lies, for rows whose `bytes` are null or not given   |
| `error` | string | may be left out; why there is no picture: the row goes out with it   |

Going out, each row is what was found in it, in the same order:

| column  | type           | content                                                                |
|---------|----------------|------------------------------------------------------------------------|
| `id`    | string         | as it came in                                                          |
| `faces` | list of struct | the detector's surest first; empty where there is none; never null     |
| `error` | string         | why there are no faces, or why some are not among them; null: all well |

and a face has these fields; of a ready crop, all but the last are null:

| field        | type                  | content                                                            |
|--------------|-----------------------|--------------------------------------------------------------------|
| `box`        | list of 4 float32     | x, y of the top left corner, width, height, in pixels              |
| `landmarks`  | list of 5 x 2 float32 | x, y in pixels: right eye, left eye, nose tip, right mouth corner, left mouth corner of the subject |
| `confidence` | float32               | the detector's score, 0 to 1                                       |
| `quality`    | float32               | the network's score; higher is better, the range is the network's  |

Lists are lists of any length for Arrow, since not every engine reads those of a fixed one.
"""  # noqa: E501  # a row of a table

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fiqa_runtime.errors import DependencyError, InputError

SPARK_SCHEMA = (
    "id string, faces array<struct<box array<float>, landmarks array<array<float>>, confidence float, quality float>>, "
    "error string"
)
"""The columns that go out, as Spark's ``mapInArrow`` and ``mapInPandas`` want to be told of them."""


def require_pyarrow() -> None:
    """Raise DependencyError where pyarrow is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise DependencyError(
            "Parquet and Arrow need pyarrow; pip install 'fiqa-edge[parquet]', or write .csv"
        ) from error


def face_type(decided: bool = False) -> Any:
    """The Arrow type of one face, whose fields are those of ``Face.as_dict``; with `decided` it says too whether the
    face is accepted."""
    import pyarrow as pa

    numbers = pa.list_(pa.float32())
    fields = [
        ("box", numbers),
        ("landmarks", pa.list_(numbers)),
        ("confidence", pa.float32()),
        ("quality", pa.float32()),
    ]
    return pa.struct([*fields, *([("accepted", pa.bool_())] if decided else [])])


def picture_schema() -> Any:
    """The ``pyarrow.Schema`` of rows that come in as :func:`fiqa_runtime.rows.ray.read_pictures` reads them."""
    import pyarrow as pa

    return pa.schema([("id", pa.string()), ("bytes", pa.binary()), ("error", pa.string())])


def row_schema() -> Any:
    """The ``pyarrow.Schema`` of the rows that go out: id, faces, error."""
    import pyarrow as pa

    return pa.schema(
        [
            ("id", pa.string()),
            ("faces", pa.list_(face_type())),
            ("error", pa.string()),
        ]
    )


def as_crop_row(quality: float) -> dict[str, Any]:
    """A ready crop, as a value of :func:`face_type`."""
    return {"box": None, "landmarks": None, "confidence": None, "quality": quality}


def check_rows(table: Any) -> None:
    """Raise InputError where `table` is not rows of pictures, as this module's text says."""
    import pyarrow as pa

    if not isinstance(table, pa.Table | pa.RecordBatch):
        raise InputError(f"rows come as a pyarrow Table or RecordBatch, not as {type(table).__name__}; convert them")
    names = table.schema.names
    has = f"has the columns {', '.join(names)}" if names else "has no columns"
    if names.count("id") != 1:
        raise InputError(f"the table {has}; name one of them id")
    if not {"bytes", "path"} & {*names}:
        raise InputError(f"the table {has}; it needs bytes (image files) or path")
    texts, data = (pa.string(), pa.large_string()), (pa.binary(), pa.large_binary())
    _check_type(table, "id", (*texts, pa.null()), "strings")
    _check_type(table, "bytes", (*data, pa.null()), "the bytes of image files")
    _check_type(table, "path", (*texts, pa.null()), "strings")
    _check_type(table, "error", (*texts, pa.null()), "strings")
    _check_ids(table.column("id").to_pylist())


def _check_type(table: Any, name: str, types: Sequence[Any], what: str) -> None:
    count = table.schema.names.count(name)
    if count > 1:
        raise InputError(f"the table has {count} columns {name}; leave one of them")
    if count and table.schema.field(name).type not in types:
        raise InputError(f"the column {name} is {table.schema.field(name).type}; make it {what}")


def _check_ids(ids: Sequence[str | None]) -> None:
    seen: set[str | None] = set()
    for row, name in enumerate(ids):
        if name is None:
            raise InputError(f"row {row} has no id; give every row one")
        if name in seen:
            raise InputError(f"the id {name} comes twice; give every row its own")
        seen.add(name)

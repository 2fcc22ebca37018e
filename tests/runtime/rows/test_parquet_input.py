"""Parquet files: which columns hold the pictures and their names, and rows in any order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.rows import parquet_input
from fiqa_runtime.rows.parquet_input import ParquetPictures

ROWS = 100
DATA = [b"%d" % row * (row + 1) for row in range(ROWS)]


def write(path: Path, columns: dict[str, Any], **more: Any) -> Path:
    pq.write_table(pa.table(columns), path, **more)
    return path


def opened(path: Path, image: str | None = None, name: str | None = None) -> ParquetPictures:
    return ParquetPictures(path, image, name)


FACES = [{"bytes": data, "path": "elsewhere.jpg"} for data in DATA]
NAMES = [f"n{row}" for row in range(ROWS)]


@pytest.mark.parametrize(
    ("columns", "image", "name", "first"),
    [
        ({"bytes": DATA, "id": NAMES}, None, None, "n0"),
        ({"image": FACES, "key": NAMES}, None, None, "n0"),
        ({"image": FACES, "label": NAMES}, None, None, "0"),
        ({"image": DATA, "id": list(range(5, ROWS + 5))}, None, None, "5"),
        ({"image": ["text"] * ROWS, "crop": pa.array(DATA, pa.large_binary()), "who": NAMES}, "crop", "who", "n0"),
        ({"bytes": DATA, "id": [f"/data/{name}.jpg" for name in NAMES]}, None, None, "data/n0.jpg"),
    ],
)
def test_columns(tmp_path: Path, columns: dict[str, Any], image: str | None, name: str | None, first: str) -> None:
    pictures = opened(write(tmp_path / "p.parquet", columns), image, name)
    assert pictures.names[0] == first and len(pictures.names) == ROWS and pictures.problem is None
    assert [pictures.read(name) for name in pictures.names] == DATA
    with pytest.raises(InputError, match=r"there is no image other in .*p.parquet"):
        pictures.read("other")


@pytest.mark.parametrize("group", [7, 16, 33, 1000])
@pytest.mark.parametrize("step", [1, 3, 41, 99])
def test_rows_in_any_order(tmp_path: Path, group: int, step: int) -> None:
    pictures = opened(write(tmp_path / "p.parquet", {"bytes": DATA}, row_group_size=group))
    order = [row * step % (ROWS + 1) - 1 for row in range(1, ROWS + 1)]
    assert len({*order}) == ROWS
    assert [pictures.read(str(row)) for row in order] == [DATA[row] for row in order]


def test_rows_in_their_order_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = opened(write(tmp_path / "p.parquet", {"bytes": DATA}, row_group_size=40))
    begun = list[int]()
    pieces = pictures._pieces

    def counted(group: int) -> Iterator[tuple[int, Any]]:
        begun.append(group)
        return pieces(group)

    monkeypatch.setattr(pictures, "_pieces", counted)
    assert [pictures.read(name) for name in pictures.names] == DATA
    assert begun == [0, 1, 2]
    assert len(pictures._kept) == parquet_input.KEPT


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"picture": DATA}, (), "none of the columns bytes, image; name .* by --image-column, of picture"),
        ({"picture": DATA}, ("crop",), "no column crop; --image-column takes one of picture"),
        ({"bytes": DATA}, (None, "who"), "no column who; --id-column takes one of bytes"),
        ({"image": NAMES}, (), "image of .* is string and not the bytes"),
        ({"image": [{"path": "a"}] * ROWS}, (), "and not the bytes"),
        ({"bytes": DATA, "id": [1.5] * ROWS}, (), "id of .* is double; --id-column"),
        ({"bytes": DATA, "id": [*NAMES[1:], "n1"]}, (), "has the id n1 twice"),
        ({"bytes": DATA, "id": [*NAMES[1:], None]}, (), "has the id None in row 99"),
        ({"bytes": DATA, "id": [*NAMES[1:], "../x.jpg"]}, (), "which is not a name"),
        ({"bytes": DATA, "id": [*NAMES[1:], "/"]}, (), "which is not a name"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    tmp_path: Path, columns: dict[str, Any], options: tuple[str | None, ...], message: str
) -> None:
    path = write(tmp_path / "p.parquet", columns)
    with pytest.raises(InputError, match=message) as told:
        opened(path, *options)
    assert "\n" not in str(told.value)


def test_damage_is_one_line(tmp_path: Path) -> None:
    whole = write(tmp_path / "p.parquet", {"bytes": DATA}).read_bytes()
    for data in (b"", b"no parquet", whole[:-9], whole[9:]):
        (tmp_path / "d.parquet").write_bytes(data)
        with pytest.raises(InputError, match=r"d.parquet cannot be read") as told:
            opened(tmp_path / "d.parquet").read("0")
        assert "\n" not in str(told.value)


def test_a_row_without_bytes_is_told(tmp_path: Path) -> None:
    pictures = opened(write(tmp_path / "p.parquet", {"image": [FACES[0], {"bytes": None, "path": "x"}, None]}))
    assert pictures.read("0") == DATA[0]
    for name in ("1", "2"):
        with pytest.raises(InputError, match=f"has no bytes for {name}"):
            pictures.read(name)

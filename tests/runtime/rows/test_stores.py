"""Files in folders and in stores: what is found, what is passed over, and what is told where nothing can be."""

from __future__ import annotations

import io
import pickle
import tarfile
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as fs
import pyarrow.parquet as pq
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.rows.pictures import Pictures
from fiqa_runtime.rows.stores import Place, StoredFile, place_at, search_stores

pytest.importorskip("ray.data", reason="the source of Ray Data needs the extra [ray]")

from fiqa_runtime.rows.ray_source import groups_of, rows_of

from tests.runtime.rows.conftest import encoded

USUAL = Pictures()
LOOSE_AND_PACKED = ("a b.jpg", "c.parquet", "d.tar")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Loose pictures, a tar file, a Parquet file, and what is none of these."""
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/b.png").write_bytes(encoded(1))
    (tmp_path / "a b.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".hidden.png").touch()
    pq.write_table(pa.table({"id": ["x", "y"], "bytes": [encoded(2), None]}), tmp_path / "c.parquet")
    with tarfile.open(tmp_path / "d.tar", "w") as tar:
        for name, data in (("k.png", encoded(3)), ("../out.png", encoded(4))):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return tmp_path


def in_memory(names: dict[str, bytes]) -> Place:
    """A place in a store that fsspec keeps in memory."""
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    for name, data in names.items():
        store.pipe(name, data)
    return place_at("memory://faces")


def test_a_folder_is_searched_to_the_bottom(folder: Path) -> None:
    found = search_stores([str(folder), str(folder / "deep")])
    assert [Path(file.name).relative_to(folder).as_posix() for file in found.files] == [
        *("a b.jpg", "c.parquet", "d.tar", "deep/b.png"),
    ]
    assert found.passed_over == {str(folder / "notes.txt"): ".txt files"}
    assert [file.size for file in found.files] == [Path(file.name).stat().st_size for file in found.files]


def test_names_of_this_machine_are_made_whole(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert [file.name for file in search_stores(["deep"]).files] == [str(folder / "deep/b.png")]


def test_every_picture_is_a_row_and_every_fault_an_error(folder: Path) -> None:
    rows = [row for file in search_stores([str(folder)]).files for row in rows_of(file, USUAL)]
    by_name = {row["id"].removeprefix(f"{folder}/"): row for row in rows}
    assert len(by_name) == len(rows) == 6
    assert by_name["a b.jpg"]["bytes"] == b"no picture"  # whoever decodes it says so
    assert by_name["deep/b.png"]["bytes"] == encoded(1)
    assert by_name["c.parquet/x"]["bytes"] == encoded(2)
    assert "no bytes for y" in by_name["c.parquet/y"]["error"]
    assert by_name["d.tar/k.png"]["bytes"] == encoded(3)
    assert "'../out.png' leads out of it" in by_name["d.tar"]["error"]


def test_a_store_of_fsspec_is_read_like_a_folder(folder: Path) -> None:
    names = {f"/faces/{path.name}": path.read_bytes() for path in folder.iterdir() if path.is_file()}
    in_memory(names)
    found = search_stores(["memory://faces"])
    assert [file.name for file in found.files] == [
        f"memory://faces/{name}" for name in ("a b.jpg", "c.parquet", "d.tar")
    ]
    rows = [row for file in found.files for row in rows_of(pickle.loads(pickle.dumps(file)), USUAL)]
    assert {row["id"] for row in rows if row["error"] is None} == {
        *(f"memory://faces/{name}" for name in ("a b.jpg", "c.parquet/x", "d.tar/k.png")),
    }


class Closed(fs.FSSpecHandler):  # type: ignore[misc]  # pyarrow has no types
    """A store that lets nobody look into it."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    def get_file_info(self, paths: Any) -> Any:
        raise self.error

    def get_file_info_selector(self, selector: Any) -> Any:
        raise self.error

    def open_input_file(self, path: str) -> Any:
        raise self.error


def test_a_file_that_is_gone_or_closed_is_a_row(folder: Path) -> None:
    closed = fs.PyFileSystem(Closed(PermissionError("AWS Error ACCESS_DENIED\nand a page more")))
    for suffix in ("png", "tar", "parquet"):
        file = StoredFile(closed, f"faces/a.{suffix}", f"s3://faces/a.{suffix}", 1, None)
        (row,) = rows_of(file, USUAL)
        assert row["bytes"] is None
        assert "s3://faces/a" in row["error"]
        assert "ACCESS_DENIED" in row["error"]
        assert "\n" not in row["error"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing", "there is nothing at"),
        ("deep/b.png/c", "there is nothing at"),
        ("foo://bucket/faces", "Unrecognized filesystem type"),
        ("s3://a b/faces", "cannot be opened"),
    ],
)
def test_what_is_not_there_is_one_line(folder: Path, name: str, told: str) -> None:
    given = name if "://" in name else str(folder / name)
    with pytest.raises(InputError, match=told) as caught:
        search_stores([given])
    assert "\n" not in str(caught.value)


def test_a_folder_without_pictures(folder: Path) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no images, tar or Parquet files"):
        search_stores([str(folder / "empty")])


def test_files_are_shared_out_in_their_order_and_packed_ones_alone(folder: Path) -> None:
    [loose] = search_stores([str(folder / "deep/b.png")]).files
    [packed] = search_stores([str(folder / "d.tar")]).files
    groups = list(groups_of([*[loose] * 5, packed, *[loose] * 4], 3))
    assert [len(group) for group in groups] == [3, 1, 3, 3]
    assert groups[1] == [packed]
    assert list(chain(*groups)) == [*[loose] * 3, packed, *[loose] * 6]
    assert [len(group) for group in groups_of([loose] * 3000, 1)] == [1024, 1024, 952]
    assert list(groups_of([], 4)) == []

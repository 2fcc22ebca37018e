"""Lists of files, and shares of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.runs.shares import read_list, read_shard, share_of


def test_a_list_names_each_file_once(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"\xef\xbb\xbfb.png\r\na b.png\n\nb.png\n\xff.png\n")
    assert read_list(path) == [Path("b.png"), Path("a b.png"), Path(os.fsdecode(b"\xff.png"))]


def test_a_list_of_powershell(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("a.png\nö.png\n", encoding="utf-16")
    assert read_list(path) == [Path("a.png"), Path("ö.png")]


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_list_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="names no file"):
        read_list(path)


def test_a_missing_list_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read the list"):
        read_list(tmp_path / "list.txt")


@pytest.mark.parametrize("count", [0, 1, 7, 24])
def test_shares_are_all_files_once(count: int) -> None:
    files = list(range(count))
    shares = [share_of(files, number, 7) for number in range(1, 8)]
    assert sorted(file for share in shares for file in share) == files
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["0/8", "9/8", "8", "1/", "/8", "a/b", "-1/8", "1/8/2", "1.0/8"])
def test_what_is_not_a_share_is_told(text: str) -> None:
    with pytest.raises(InputError, match="is not a share; the second of eight is 2/8"):
        read_shard(text)


def test_a_share() -> None:
    assert read_shard("8/8") == (8, 8)

"""Outputs that grow: readable before the end, named at the end, and cut back to what is whole."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.runs.part_file import PartFile, part_of


def test_it_grows_beside_its_name_and_takes_it_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text("of an earlier run")
    file = PartFile(tmp_path / "s.csv")
    file.write("grün\n")
    assert file.flush() == 6
    assert (tmp_path / "s.csv.part").read_bytes() == "grün\n".encode()
    assert (tmp_path / "s.csv").read_text() == "of an earlier run"
    file.finish()
    assert [path.name for path in tmp_path.iterdir()] == ["s.csv"]
    assert (tmp_path / "s.csv").read_bytes() == "grün\n".encode()


def test_it_goes_on_after_what_is_whole(tmp_path: Path) -> None:
    part_of(tmp_path / "s.csv").write_bytes(b"whole\nhal")
    file = PartFile(tmp_path / "s.csv", keep=6)
    file.write("more\n")
    assert file.flush() == 11
    file.finish()
    assert (tmp_path / "s.csv").read_bytes() == b"whole\nmore\n"


def test_names_that_are_not_text_are_written_as_their_bytes(tmp_path: Path) -> None:
    file = PartFile(tmp_path / "s.csv")
    file.write(os.fsdecode(b"\xff.png"))
    assert file.flush() == 5
    file.finish()
    assert (tmp_path / "s.csv").read_bytes() == b"\xff.png"


def test_what_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    PartFile(tmp_path / "s.csv").discard()
    assert not list(tmp_path.iterdir())


def test_a_pipe_is_written_to_directly(tmp_path: Path) -> None:
    pipe, read = tmp_path / "pipe", list[bytes]()
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    file = PartFile(pipe)
    file.write("a")
    file.finish()
    reader.join(30)
    assert read == [b"a"] and [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("path", ["missing/s.csv", "folder/s.csv"])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(InputError, match=f"cannot write .*{path}"):
        PartFile(tmp_path / path)


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "s.csv").symlink_to("/dev/full")
    file = PartFile(tmp_path / "s.csv")
    file.write("row\n")
    with pytest.raises(InputError, match=r"cannot write .*s.csv: No space left"):
        file.flush()
    file.close()


@pytest.mark.parametrize("keep", [0, 2])
def test_a_planted_link_is_not_followed(tmp_path: Path, keep: int) -> None:
    (tmp_path / "of-another").write_text("theirs")
    (tmp_path / "s.csv.part").symlink_to(tmp_path / "of-another")
    with pytest.raises(InputError, match=r"cannot write .*s.csv"):
        PartFile(tmp_path / "s.csv", keep)
    assert (tmp_path / "of-another").read_text() == "theirs"

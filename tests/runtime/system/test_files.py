"""Writing: whole or not at all, through links and into pipes, whatever the name."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from fiqa_runtime.command.quality_file import QualityFile
from fiqa_runtime.command.results import ImageResult
from fiqa_runtime.errors import InputError
from fiqa_runtime.runs.part_file import PartFile
from fiqa_runtime.system.files import temporary_name, write_bytes, write_text

Writer = Callable[[Path], None]
RESULT = ImageResult(Path("a.png"), quality=0.5)


def by_text(path: Path) -> None:
    write_text(path, "0.5")


def by_csv(path: Path) -> None:
    file = PartFile(path)
    file.write("0.5")
    file.finish()


def by_parquet(path: Path) -> None:
    pytest.importorskip("pyarrow")
    file = QualityFile(path, [RESULT.path])
    file.add(RESULT)
    file.write()


WRITERS = pytest.mark.parametrize("write", [by_text, by_csv, by_parquet])


@WRITERS
@pytest.mark.parametrize("exists", [True, False])
def test_a_link_stays_and_its_target_is_written(tmp_path: Path, write: Writer, exists: bool) -> None:
    target, link = tmp_path / "there/target", tmp_path / "link.parquet"
    target.parent.mkdir()
    if exists:
        target.write_text("old")
    link.symlink_to("there/target")
    write(link)
    assert link.is_symlink()
    assert target.read_bytes() not in (b"", b"old")
    assert [path.name for path in target.parent.iterdir()] == ["target"]


@WRITERS
def test_a_pipe_stays_and_its_reader_is_served(tmp_path: Path, write: Writer) -> None:
    pipe, plain, read = tmp_path / "pipe.parquet", tmp_path / "plain.parquet", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write(pipe)
    reader.join(10)
    write(plain)
    assert read == [plain.read_bytes()]
    assert pipe.is_fifo()


@WRITERS
def test_a_name_of_the_greatest_length(tmp_path: Path, write: Writer) -> None:
    path = tmp_path / f"{'a' * 247}.parquet"
    write(path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@WRITERS
@pytest.mark.parametrize("name", ["file/x.parquet", f"{'a' * 300}.parquet", "folder.parquet", "no/x.parquet"])
def test_what_cannot_be_written_is_one_line(tmp_path: Path, write: Writer, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(InputError, match="choose a") as caught:
        write(tmp_path / name)
    assert name in str(caught.value)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.parquet"]


@pytest.mark.parametrize("folder", ["/", "."])
def test_folders_without_a_name(folder: str) -> None:
    with pytest.raises(InputError, match="Is a directory; choose a folder"):
        write_bytes(Path(folder), b"")


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old"
    path.write_text("old")

    def full(self: Path, data: bytes) -> int:
        with self.open("wb") as stream:
            stream.write(data[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"cannot write .*old: No space left"):
        write_bytes(path, b"new")
    assert [entry.read_text(encoding="utf-8") for entry in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("write", [by_text, by_parquet])
def test_a_planted_link_is_not_followed(tmp_path: Path, write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may write to a shared folder and guesses a temporary name must not gain another file by it."""
    victim, planted = tmp_path / "victim", tmp_path / "planted"
    victim.write_text("precious")
    planted.symlink_to(victim)
    assert temporary_name(tmp_path / "a") != temporary_name(tmp_path / "a")
    monkeypatch.setattr("fiqa_runtime.system.files.temporary_name", lambda path: planted)
    with pytest.raises(InputError, match="cannot write"):
        write(tmp_path / "out.parquet")
    assert victim.read_text() == "precious"


@pytest.mark.skipif(os.name != "posix", reason="needs processes that can be asked for")
def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from fiqa_runtime.system.files import replacing\n"
        f"with replacing(Path({str(tmp_path / 's.csv')!r})) as target: target.touch(); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    (left,) = tmp_path.iterdir()
    mine = temporary_name(tmp_path / "s.csv")
    elsewhere = left.with_name(left.name.replace(left.name.split(".")[2], "0" * 8))
    for other in (mine, elsewhere):
        other.touch()
    write_text(tmp_path / "s.csv", "0.5")
    assert {path.name for path in tmp_path.iterdir()} == {"s.csv", mine.name, elsewhere.name}

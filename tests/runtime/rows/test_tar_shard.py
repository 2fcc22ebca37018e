"""Tar files: pictures by place and size, and whatever somebody may have put beside them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.rows import tar_shard
from fiqa_runtime.rows.tar_shard import TarShard

GOOD = {"a.jpg": b"first", "folder/b.PNG": b"second" * 200, "c.webp": b""}
LONG = "/".join(["long" * 20] * 2) + ".jpg"


def write(path: Path, members: dict[str, bytes], kind: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=kind) as tar:
        for name, data in members.items():
            add(tar, name, data)
    return path


def add(tar: tarfile.TarFile, name: str, data: bytes = b"data", **more: object) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in more.items():
        setattr(member, key, value)
    tar.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_pictures_are_read_in_any_order_and_all_else_is_let_lie(tmp_path: Path, kind: int) -> None:
    others = {"a.json": b"{}", "a.cls": b"1", "folder/._b.png": b"of a Mac", "README": b""}
    shard = TarShard(write(tmp_path / "s.tar", {**GOOD, **others, LONG: b"long"}, kind))
    assert shard.problem is None
    assert shard.names == [*GOOD, LONG]
    assert {name: shard.read(name) for name in reversed(shard.names)} == {**GOOD, LONG: b"long"}
    with pytest.raises(InputError, match=r"there is no image d.jpg in .*s.tar"):
        shard.read("d.jpg")


HOSTILE: dict[str, tuple[Callable[[tarfile.TarFile], None], str]] = {
    "absolute": (lambda tar: add(tar, "/etc/x.jpg"), "'/etc/x.jpg' leads out of it"),
    "above": (lambda tar: add(tar, "a/../../x.jpg"), "leads out of it"),
    "symbolic link": (lambda tar: add(tar, "x.jpg", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link"),
    "hard link": (lambda tar: add(tar, "x.jpg", b"", type=tarfile.LNKTYPE, linkname="a.jpg"), "is a link"),
    "device": (lambda tar: add(tar, "x.jpg", b"", type=tarfile.BLKTYPE), "a device"),
    "fifo": (lambda tar: add(tar, "x.jpg", b"", type=tarfile.FIFOTYPE), "no plain file"),
    "twice": (lambda tar: add(tar, "./a.jpg"), "'a.jpg' comes twice"),
    "name without end": (lambda tar: add(tar, "x" * 5000 + ".jpg"), "is not a name"),
    "sparse": (
        lambda tar: add(tar, "x.jpg", b"1\n0\n1\n".ljust(512, b"\0"), pax_headers={
            "GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 50)
        }),
        "no plain file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_plain_picture_is_refused_and_the_others_are_not(tmp_path: Path, what: str) -> None:
    make, message = HOSTILE[what]
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        add(tar, "a.jpg", b"first")
        make(tar)
        add(tar, "z.jpg", b"last")
    shard = TarShard(tmp_path / "s.tar")
    assert shard.names == ["a.jpg", "z.jpg"] and shard.read("z.jpg") == b"last"
    assert shard.problem and message in shard.problem and "\n" not in shard.problem and len(shard.problem) < 400


def test_a_bomb_is_refused_by_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_shard, "MOST_BYTES", 1000)
    shard = TarShard(write(tmp_path / "s.tar", {"x.jpg": bytes(1001), "y.jpg": bytes(1000)}))
    assert shard.names == ["y.jpg"]
    assert "'x.jpg' has 1,001 bytes, more than 1,000" in str(shard.problem)


def test_a_size_that_the_file_does_not_have_is_damage(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x.jpg")
    header.size = 1 << 40
    good = write(tmp_path / "good.tar", GOOD).read_bytes()[:2048]
    (tmp_path / "s.tar").write_bytes(good + header.tobuf(tarfile.GNU_FORMAT) + b"few")
    assert "x.jpg" not in TarShard(tmp_path / "s.tar").names


@pytest.mark.parametrize("size", [-512, 1 << 17])
@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_headers_that_would_fill_memory_or_never_end_are_damage(tmp_path: Path, kind: bytes, size: int) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, size
    write(tmp_path / "s.tar", {"a.jpg": b"first"})
    member = (tmp_path / "s.tar").read_bytes()[:1024]
    (tmp_path / "s.tar").write_bytes(member + header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 18))
    shard = TarShard(tmp_path / "s.tar")
    assert shard.names == ["a.jpg"] and "damaged or cut short" in str(shard.problem)


def test_a_pax_size_below_zero_ends(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        add(tar, "a.jpg", b"first")
        add(tar, "b.txt", b"second", pax_headers={"size": "-2048"})
        add(tar, "c.jpg", b"third")
    shard = TarShard(tmp_path / "s.tar")
    assert shard.names[0] == "a.jpg" and shard.problem


def test_every_cut_is_told(tmp_path: Path) -> None:
    whole = write(tmp_path / "s.tar", {"a.jpg": b"first", "b.jpg": b"second"}).read_bytes()
    for length in (513, 1024, 1024 + 100, 1024 + 512, 1024 + 515):
        (tmp_path / "s.tar").write_bytes(whole[:length])
        try:
            shard = TarShard(tmp_path / "s.tar")
        except InputError:
            continue
        assert shard.problem and "cut short" in shard.problem
        assert [name for name in shard.names if name != "b.jpg"] == ["a.jpg"]


@pytest.mark.parametrize("data", [b"", b"no tar", bytes(100), b"\x1f\x8b\x08" + bytes(600)])
def test_what_is_not_a_tar_file_is_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "s.tar").write_bytes(data)
    with pytest.raises(InputError, match=r"s.tar is not a tar file") as told:
        TarShard(tmp_path / "s.tar")
    assert "\n" not in str(told.value)


def test_damage_anywhere_is_told_or_harmless(tmp_path: Path) -> None:
    """400 damaged tar files: none ends in anything but pictures within the file, or one line."""
    stream = np.random.Generator(np.random.PCG64(21))
    members = {**GOOD, LONG: b"long"}
    wholes = [
        write(tmp_path / "w.tar", members, kind).read_bytes() for kind in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
    ]
    for number in range(400):
        data = bytearray(wholes[number % 2])
        for place in stream.integers(0, 6000, stream.integers(1, 6)):
            data[place] = stream.integers(0, 256)
        start = 512 * int(stream.integers(0, 8))
        mend(data, start)  # so that the damage is read
        (tmp_path / "s.tar").write_bytes(data)
        try:
            shard = TarShard(tmp_path / "s.tar")
        except InputError:
            continue
        for name in shard.names:
            try:
                assert len(shard.read(name)) <= len(data)
            except InputError as error:
                assert "cut short" in str(error)


def mend(data: bytearray, start: int) -> None:
    """Give the header at `start` the checksum of what it holds."""
    head = data[start : start + 512]
    head[148:156] = b" " * 8
    data[start + 148 : start + 156] = b"%06o\0 " % sum(head)

"""A file whose text can be read while it grows, under a name that says that it is not whole."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from stat import S_ISDIR
from typing import TextIO

from fiqa_runtime.errors import InputError
from fiqa_runtime.system.files import end_of_link, is_special, replacing, writing

Convert = Callable[[Path, Path], None]
"""Reads the text of the first file and writes what the user wants of it to the second."""
LONGEST_NAME = 240
"""Bytes of a name to which an ending can be added; file systems take 255."""


def part_of(path: Path) -> Path:
    """Where the output `path` grows: ``scores.csv.part`` beside ``scores.csv``."""
    return beside(path, "part")


def beside(path: Path, ending: str) -> Path:
    """``path.ending`` in the folder of `path`, or of what it links to; a name too long for that is shortened."""
    target = end_of_link(path)
    name = os.fsencode(target.name)
    if len(name) > LONGEST_NAME:
        return target.with_name(f"{target.name[:40]}.{hashlib.sha256(name).hexdigest()[:16]}.{ending}")
    return target.with_name(f"{target.name}.{ending}")


def open_own(path: Path, keep: int) -> TextIO:
    """Open `path` for text behind its first `keep` bytes, all else cut off; 0 begins a new file.

    Its name can be guessed, so a link that somebody has put there is refused, and never followed.
    """
    no_link = getattr(os, "O_NOFOLLOW", 0)
    if keep:
        with open(path, "rb+", opener=lambda name, flags: os.open(name, flags | no_link)) as old:
            old.truncate(keep)
    elif path.exists() and not path.is_symlink():
        path.unlink()
    return open(
        *(path, "a" if keep else "x"),
        newline="",
        encoding="utf-8",
        errors="surrogateescape",
        opener=lambda name, flags: os.open(name, flags | no_link, 0o666),
    )


def _open_special(path: Path) -> TextIO:
    return path.open("w", newline="", encoding="utf-8", errors="surrogateescape")


class PartFile:
    """Text that is appended to :func:`part_of` `path`, and takes the place of `path` once it is finished.

    Every :meth:`flush` hands what was written to the operating system, so that a program that is killed afterwards
    loses none of it. A FIFO or a device is written to directly. All methods raise InputError where the file cannot be
    written.

    `convert` is for a kind of file that cannot be gone on with after a cut: text grows in its place, of which the file
    is made at the end. There is none for FIFOs and devices.
    """

    def __init__(self, path: Path, keep: int = 0, convert: Convert | None = None) -> None:
        """Go on after the first `keep` bytes of what is there already; 0: begin anew."""
        self.path = path
        self.convert = convert
        with writing(path):
            with suppress(FileNotFoundError):  # others, as a name too long, are told now and not at the end
                if S_ISDIR(path.stat().st_mode):
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self.direct = is_special(path)
            if self.direct and convert is not None:
                raise InputError(f"{path} is a pipe or a device, where no such file can be written; name a file")
            self._place = path if self.direct else part_of(path)
            self._stream = open_own(self._place, keep) if not self.direct else _open_special(path)
        self._size = keep

    def __repr__(self) -> str:
        return f"<PartFile {self._place}>"

    def write(self, text: str) -> None:
        """Append `text`."""
        with writing(self.path):
            self._stream.write(text)
        self._size += len(text.encode("utf-8", "surrogateescape"))

    def flush(self) -> int:
        """Hand over what was written; returns the bytes of the whole file."""
        with writing(self.path):
            self._stream.flush()
        return self._size

    def finish(self) -> None:
        """Close the file and give it its name; one that cannot be converted stays to go on from."""
        with writing(self.path):
            self._stream.close()
            if self.convert is not None:
                with replacing(self.path) as target:
                    self.convert(self._place, target)
                self._place.unlink()
            elif not self.direct:
                self._place.replace(end_of_link(self.path))

    def close(self) -> None:
        """Close the file where it is; what was written stays in it."""
        with suppress(OSError):
            self._stream.close()

    def discard(self) -> None:
        """Close and remove it."""
        self.close()
        if not self.direct:
            self._place.unlink(missing_ok=True)

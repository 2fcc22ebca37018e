"""Which files a run takes: those named in a list, and one share of them where several machines work together."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from fiqa_runtime.errors import InputError
from fiqa_runtime.system.documents import encoding_of

T = TypeVar("T")


def read_list(path: Path) -> list[Path]:
    """The files named in `path`, one per line; ``-`` is stdin. Blank lines are left out, and names that come again.

    The text is UTF-8 or, with a byte order mark, UTF-16; bytes of names that are no text are kept.

    Whether the files are there is not looked at: one that is missing is refused when its turn comes. Raises InputError
    where the list cannot be read or is empty.
    """
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the list {path}: {error.strerror or error}; check its name") from error
    text = data.decode(encoding_of(data), "surrogateescape")
    names = dict.fromkeys(line.rstrip("\r") for line in text.split("\n") if line.strip())
    if not names:
        raise InputError(f"the list {path} names no file; write one path per line")
    return [Path(name) for name in names]


def read_shard(text: str) -> tuple[int, int]:
    """``2/8`` -> (2, 8); raises InputError for anything but a share from 1/N to N/N."""
    first, _, second = text.partition("/")
    if first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second):
        return int(first), int(second)
    raise InputError(f"--shard {text} is not a share; the second of eight is 2/8, from 1/8 to 8/8")


def share_of(files: Sequence[T], number: int, of: int) -> list[T]:
    """Every `of`-th of `files`, from the `number`-th on: all shares together are all files, each once."""
    return list(files[number - 1 :: of])

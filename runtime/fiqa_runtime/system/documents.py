"""Files that others wrote, read so that whatever is in them, however damaged, ends as a ValueError with its reason."""

from __future__ import annotations

import codecs
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_text(path: Path) -> str:
    """The text of a file: UTF-8 with or without a byte order mark, or UTF-16 with one, as Excel and PowerShell write.

    Raises OSError where it cannot be read, ValueError (UnicodeDecodeError) where it is not text.
    """
    data = path.read_bytes()
    return data.decode(encoding_of(data))


def open_text(path: Path) -> io.TextIOWrapper:
    """A long text, opened to be read line by line; encodings and errors are those of :func:`read_text`."""
    stream = path.open("rb")
    return io.TextIOWrapper(stream, encoding=encoding_of(stream.peek(2)))


def encoding_of(beginning: bytes) -> str:
    """The encoding of a text that begins so: UTF-8 with or without a byte order mark, or UTF-16 with one."""
    return "utf-16" if beginning.startswith(_UTF16) else "utf-8-sig"


def parse_json(text: str | bytes) -> Any:
    """The document in `text`; raises ValueError where it is not JSON or is nested too deeply."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def parse_csv(text: str) -> list[list[str]]:
    """The rows of a table, blank ones left out; raises ValueError where a quoted field does not end or is too long."""
    try:
        return [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except csv.Error as error:
        raise ValueError(str(error)) from error


def read_array(path: Path) -> NDArray[Any]:
    """The array in a ``.npy`` file; it stays mapped from the file, so a false size costs no memory.

    Raises OSError where the file cannot be read, ValueError where it does not hold one array of plain values.
    """
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # a damaged header raises a dozen classes, since numpy evaluates it as Python
        raise ValueError("it is not an array that numpy.save wrote, or it is damaged") from error
    if not isinstance(found, np.ndarray):
        found.close()
        raise ValueError("it is an archive of arrays (.npz)")
    return found

"""Hashes and writes that a crash cannot leave half done."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fiqa_runtime.errors import InputError


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` as :func:`write_bytes` does, in UTF-8; names of files keep bytes that are none."""
    write_bytes(path, text.encode(errors="surrogateescape"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` through a temporary name; raises InputError where the folder cannot be written."""
    temporary = temporary_name(path)
    with writing(path):
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def temporary_name(path: Path) -> Path:
    """Where this process writes what will be `path`."""
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the operating system refuses inside becomes an InputError that names `path`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}; choose a folder you may write to") from error


def is_readable_file(path: Path) -> bool:
    """Whether `path` is a file, in a folder that this user may look into."""
    try:
        return path.is_file()
    except OSError:
        return False

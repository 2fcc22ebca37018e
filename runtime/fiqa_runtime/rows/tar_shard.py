"""Pictures in a tar file, as WebDataset writes its shards, read where they lie: nothing is unpacked.

A tar file may come from anybody. What stands in it is read by place and size alone, so that no name and no link in it
leads anywhere, and what poses as a picture without being a plain file of reasonable size is refused.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.reading import IN_SOME_OPENCV, SUFFIXES
from fiqa_runtime.rows.stores import StoredFile, told_by_store

MOST_BYTES = 1 << 28
"""A larger picture in a tar file is refused, unread."""
MOST_OF_A_NAME = 1 << 16
"""Bytes of a header that holds a long name; a larger one would be read into memory."""
LONGEST_NAME = 4096
BLOCK = 512
HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
DAMAGED = (tarfile.TarError, ValueError, OverflowError, RecursionError, EOFError)


class _Header(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in HEADERS and header.size > MOST_OF_A_NAME):
            raise tarfile.ReadError(f"a header of {header.size:,} bytes")
        return header


class TarShard:
    """The pictures of the tar file `path`, in its order. Raises InputError where that is not a tar file."""

    def __init__(self, path: Path | StoredFile) -> None:
        self.path = path
        self._places: dict[str, tuple[int, int]] = {}
        self._refused: list[str] = []
        try:
            with path.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:", tarinfo=_Header) as tar:
                for member in _members(tar):
                    self._take(member)
                stream.seek(tar.offset)
                if stream.read(BLOCK) != bytes(BLOCK):
                    self._refused.append("it is damaged or cut short behind what could be read")
        except DAMAGED as error:
            if not self._places:
                raise InputError(f"{path} is not a tar file ({error}); copy it again, or unpack .gz first") from error
            self._refused.append(f"it is damaged or cut short behind what could be read ({error})")
        except OSError as error:
            raise InputError(f"cannot read {path}: {told_by_store(error)}; check its permissions") from error

    @property
    def names(self) -> list[str]:
        """Of its pictures, each once, with forward slashes."""
        return [*self._places]

    @property
    def problem(self) -> str | None:
        """Why something in it is not among its pictures; None where all is well."""
        if not self._refused:
            return None
        first, more = self._refused[0], len(self._refused) - 1
        return f"{self.path}: {first}{f' (and {more} more)' if more else ''}; pack it again"

    def read(self, name: str) -> bytes:
        """The bytes of the picture `name`; raises InputError where it is not there."""
        place = self._places.get(name)
        if place is None:
            raise InputError(f"there is no image {name} in {self.path}; check the spelling")
        start, size = place
        try:
            with self.path.open("rb") as stream:
                stream.seek(start)
                data = stream.read(size)
        except OSError as error:
            raise InputError(f"cannot read {self.path}: {told_by_store(error)}; check its permissions") from error
        if len(data) < size:
            raise InputError(f"{self.path} is cut short within {name}; copy it again")
        return data

    def _take(self, member: tarfile.TarInfo) -> None:
        path = PurePosixPath(member.name)
        if path.suffix.lower() not in SUFFIXES | IN_SOME_OPENCV or member.isdir() or path.name.startswith("."):
            return
        name = str(path)
        shown = name[:80]
        if path.is_absolute() or ".." in path.parts or "\0" in name or len(name) > LONGEST_NAME:
            self._refused.append(f"the name {shown!r} leads out of it or is not a name")
        elif not member.isreg() or member.sparse is not None:
            self._refused.append(f"{shown!r} is a link, a device or no plain file")
        elif not 0 <= member.size <= MOST_BYTES:
            self._refused.append(f"{shown!r} has {member.size:,} bytes, more than {MOST_BYTES:,}")
        elif name in self._places:
            self._refused.append(f"{shown!r} comes twice")
        else:
            self._places[name] = (member.offset_data, member.size)


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """What stands in `tar`; raises one of :data:`DAMAGED` where a header would lead backwards, which never ends."""
    behind = -1
    while (member := tar.next()) is not None:
        if tar.offset <= behind:
            raise tarfile.ReadError("a header with a size below zero")
        behind = tar.offset
        tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all, which typeshed does not know
        yield member

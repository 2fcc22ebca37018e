"""Files that several machines read: on a disk that all of them see, or in a store that a URI names. Needs pyarrow.

``s3://bucket/faces``, ``gs://bucket/faces`` and ``hdfs://host/faces`` are opened by pyarrow, other schemes by fsspec
where that is installed. Keys come from where those libraries look for them (environment, files, the machine's role).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.reading import other_kind

PACKED = (".tar", ".parquet")


@dataclass(frozen=True)
class Place:
    """A file or a folder, whether it is there or not: its URI or path is `name`, and in `files` it is `path`."""

    files: Any
    """A ``pyarrow.fs.FileSystem``."""
    path: str
    name: str

    def __str__(self) -> str:
        return self.name

    def __truediv__(self, name: str) -> Place:
        return Place(self.files, f"{self.path.rstrip('/')}/{name}", f"{self.name.rstrip('/')}/{name}")


@dataclass(frozen=True)
class StoredFile(Place):
    """A file that is there; it can be pickled."""

    size: int
    time: datetime | None
    """Of the last write, where the store says it."""

    @property
    def suffix(self) -> str:
        """With its dot, as of a path."""
        return PurePosixPath(self.path).suffix

    def open(self, mode: str) -> Any:
        """A ``pyarrow.NativeFile`` to read from any place in it, for the `mode` "rb"; raises OSError."""
        if mode != "rb":
            raise ValueError(mode)
        return self.files.open_input_file(self.path)

    def read(self) -> bytes:
        """All its bytes; raises OSError."""
        with self.open("rb") as stream:
            return bytes(stream.read())


@dataclass(frozen=True)
class Stored:
    """What a search gave."""

    files: list[StoredFile] = field(default_factory=list)
    """Images, tar and Parquet files."""
    passed_over: dict[str, str] = field(default_factory=dict)
    """By name: why a file is not among them. Hidden ones are left out."""


def place_at(name: str) -> Place:
    """Where `name`, a URI or a path of this machine, is; raises InputError for a store that nothing here opens."""
    scheme, separator, rest = name.partition("://")
    if not separator:
        from pyarrow import fs

        path = str(Path(name).absolute())
        return Place(fs.LocalFileSystem(), path, path)
    files, path = _opened(name)
    # What stands behind "?" says how the store is reached, and does not belong to the names of what is in it.
    return Place(files, path, f"{scheme}://{rest.partition('?')[0]}")


def search_stores(names: Iterable[str]) -> Stored:
    """The images, tar and Parquet files named in `names`, each once: files as given, folders to the bottom, sorted.

    In folders, what has another suffix is passed over, and hidden what begins with a dot or an underscore, as the notes
    of other programs do. Raises InputError for a name where nothing is, or nothing of those kinds, and where a store
    cannot be looked into.
    """
    found = Stored()
    seen: set[str] = set()
    for name in names:
        place = place_at(name)
        some = _found_at(place)
        if not some.files:
            raise InputError(f"{place} holds no images, tar or Parquet files; name another folder")
        found.files.extend(file for file in some.files if file.name not in seen)
        seen.update(file.name for file in some.files)
        found.passed_over.update(some.passed_over)
    return found


def told_by_store(error: Exception) -> str:
    """The first line of what a disk or a store says; stores often say many."""
    said = getattr(error, "strerror", None) or str(error).strip() or type(error).__name__
    return str(said).splitlines()[0]


def _opened(uri: str) -> tuple[Any, str]:
    import pyarrow as pa
    from pyarrow import fs

    try:
        files, path = fs.FileSystem.from_uri(uri)
    except pa.ArrowInvalid as error:
        try:
            import fsspec

            inner, path = fsspec.core.url_to_fs(uri)
        except (ImportError, ValueError):
            raise InputError(f"{uri} cannot be opened ({told_by_store(error)}); check its spelling") from error
        files = fs.PyFileSystem(fs.FSSpecHandler(inner))
    except OSError as error:
        raise _closed(uri, error) from error
    return files, path


def _found_at(place: Place) -> Stored:
    from pyarrow import fs

    try:
        there = place.files.get_file_info(place.path)
        if there.type == fs.FileType.File:
            return Stored([_stored(place, there)])
        if there.type != fs.FileType.Directory:
            raise InputError(f"there is nothing at {place}; check the spelling")
        inside = place.files.get_file_info(fs.FileSelector(place.path, recursive=True))
    except OSError as error:
        raise _closed(str(place), error) from error
    found = Stored()
    for info in sorted(inside, key=lambda info: info.path):
        path = PurePosixPath(info.path)
        inner = path.relative_to(place.path)
        if info.type != fs.FileType.File or any(part.startswith((".", "_")) for part in inner.parts):
            continue
        kind = "" if path.suffix.lower() in PACKED else other_kind(path)
        if kind:
            found.passed_over[str(place / str(inner))] = kind
        else:
            found.files.append(_stored(place / str(inner), info))
    return found


def _stored(place: Place, info: Any) -> StoredFile:
    return StoredFile(place.files, info.path, place.name, info.size, info.mtime)


def _closed(name: str, error: OSError) -> InputError:
    return InputError(f"cannot look into {name}: {told_by_store(error)}; check its name and your rights")

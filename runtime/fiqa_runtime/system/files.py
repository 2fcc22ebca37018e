"""Hashes, writes that a crash cannot leave half done, and the folder of the user's cache."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import secrets
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from fiqa_runtime.errors import InputError

T = TypeVar("T")

JUST_WRITTEN = 2 * 10**9
"""Nanoseconds within which two writes of a file may carry the same time."""
NamedFile = tuple[str, str | Path | None]
"""The option that names a file, and the file."""


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, remembered as :func:`once_per_state` says."""
    return once_per_state(sha256_file, path)


def once_per_state(compute: Callable[[Path], T], path: Path) -> T:
    """``compute(path)``; a file that has not changed (size, time of the last write) is read once per process.

    A file that was written a moment ago is read every time: another write could leave it the same size and time.
    """
    status = path.stat()
    if time.time_ns() - status.st_mtime_ns < JUST_WRITTEN:
        return compute(path)
    found: T = _remembered(compute, path.resolve(), status.st_size, status.st_mtime_ns)
    return found


@lru_cache(maxsize=256)
def _remembered(compute: Callable[[Path], Any], path: Path, size: int, modified: int) -> Any:
    return compute(path)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` in UTF-8, as :func:`write_bytes` does; bytes of file names that are not UTF-8 are kept."""
    write_bytes(path, text.encode(errors="surrogateescape"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` as :func:`replacing` does; raises InputError where the folder cannot be written."""
    with replacing(path) as target, writing(path):
        target.write_bytes(data)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to; when the body ends without an error, that file takes the place of `path`.

    So `path` is never half written. A symbolic link stays, and the file that it points to is replaced. A FIFO or a
    device is written to directly. Raises InputError where `path` cannot be replaced; errors of the body pass through.
    """
    with writing(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        special = is_special(path)
        target = end_of_link(path)
    if special:
        yield path
        return
    _sweep(target.parent)
    temporary = temporary_name(target)
    try:
        with writing(path):
            temporary.touch(exist_ok=False)
        yield temporary
        with writing(path):
            temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink()


def temporary_name(path: Path) -> Path:
    """Where to write what will be `path`: a name in its folder that nobody can guess, so that no link waits there.

    It says which process of which machine it is of, so that others can tell when that was killed.
    """
    return path.with_name(f".fiqa.{_machine()}.{os.getpid()}.{secrets.token_hex(8)}.tmp")


@lru_cache(maxsize=256)
def _sweep(folder: Path) -> None:
    """Remove the temporary files in `folder` whose processes, on this machine, are no more; once for each folder."""
    if sys.platform == "win32":  # asking for a process would end it there
        return
    for left in folder.glob(f".fiqa.{_machine()}.*.tmp"):
        process = left.name.split(".")[3]
        with suppress(OSError):
            if process.isdecimal() and not _is_running(int(process)):
                left.unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


@lru_cache(maxsize=1)
def _machine() -> str:
    """Tells this machine, or container, from others that write to the same folder."""
    return hashlib.sha256(platform.node().encode(errors="surrogateescape")).hexdigest()[:8]


def end_of_link(path: Path) -> Path:
    """The file that `path` links to, which need not exist; `path` itself where it is not a link."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def is_special(path: Path) -> bool:
    """Whether `path`, or what it links to, is there and neither file nor folder: a FIFO, a device, a socket."""
    return path.exists() and not path.is_file() and not path.is_dir()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the operating system refuses inside becomes an InputError that names `path`."""
    try:
        yield
    except OSError as error:
        fix = "a shorter name" if error.errno == errno.ENAMETOOLONG else "a folder you may write to"
        raise InputError(f"cannot write {path}: {error.strerror or error}; choose {fix}") from error


def is_readable_file(path: Path) -> bool:
    """Whether `path` is a file, in a folder that this user may look into."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_searchable_folder(path: Path) -> bool:
    """Whether `path` is a folder that this user may look into."""
    try:
        return path.is_dir() and os.access(path, os.X_OK)
    except OSError:
        return False


def user_cache() -> Path:
    """Folder of this user into which weights are downloaded; it need not exist.

    A user without a home has one in the temporary folder, where anybody may write. Raises InputError where somebody
    else has put it there: what lies in it is not to be believed.
    """
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"], "fiqa-edge")
    try:
        home = Path.home()
    except RuntimeError:  # a container's user without HOME and without an entry in passwd
        return _own_folder(Path(tempfile.gettempdir(), f"fiqa-edge-{os.getuid()}"))
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local", "fiqa-edge")
    return home.joinpath(*(("Library", "Caches") if sys.platform == "darwin" else (".cache",)), "fiqa-edge")


def _own_folder(path: Path) -> Path:
    """`path`, created where that is possible; raises InputError where others than this user can write into it."""
    with suppress(OSError):
        path.mkdir(mode=0o700)
    with suppress(FileNotFoundError):
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise InputError(f"others may write to {path}; set XDG_CACHE_HOME to a folder of your own, or delete it")
    return path

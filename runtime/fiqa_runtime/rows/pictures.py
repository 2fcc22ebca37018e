"""Pictures wherever they lie: files, members of tar files, rows of Parquet files; all are named by a path.

``shards/shard-000001.tar/key.jpg`` is the picture key.jpg in a tar file, ``all.parquet/17`` a row of a Parquet file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from threading import Lock

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import Found, decode_image, read_image
from fiqa_runtime.rows.parquet_input import ParquetPictures
from fiqa_runtime.rows.stores import StoredFile
from fiqa_runtime.rows.tar_shard import TarShard

TAR, PARQUET = ".tar", ".parquet"


@dataclass(frozen=True)
class Pictures:
    """How pictures are found and read; it can be pickled.

    The columns are those of Parquet files; None is the usual one.
    """

    image_column: str | None = None
    id_column: str | None = None

    def expand(self, found: Found) -> Found:
        """`found` with the pictures that lie in its tar and Parquet files in place of those files.

        A file of which not all can be used stands behind its pictures, by its own name, which is refused when its turn
        comes. Raises DependencyError where there are Parquet files and no pyarrow.
        """
        return replace(found, images=list(dict.fromkeys(self._expanded(found.images))))

    def _expanded(self, files: Sequence[Path]) -> Iterator[Path]:
        for file in files:
            if not _is_packed(file):
                yield file
                continue
            try:
                inside = self._inside(file)
            except InputError:
                yield file
                continue
            yield from (Path(f"{file}/{name}") for name in inside.names)
            if inside.problem or not inside.names:
                yield file

    def read(self, path: Path) -> Image:
        """The picture named by `path` as uint8 BGR (H, W, 3); raises InputError as :func:`read_image` does."""
        if holder_of(path) is None and not _is_packed(path):
            return read_image(path)
        return decode_image(self.data(path), str(path))

    def data(self, path: Path) -> bytes:
        """The bytes of the picture named by `path`; raises InputError where they are in a file that is no good, and
        OSError where they are a file that cannot be read."""
        holder = holder_of(path)
        if holder is not None:
            return self._inside(holder).read(path.relative_to(holder).as_posix())
        if _is_packed(path):
            raise InputError(self._inside(path).problem or f"{path} holds no pictures; name another file")
        return path.read_bytes()

    def _inside(self, file: Path) -> TarShard | ParquetPictures:
        with _OPENING:
            return _inside(self, file, *state_of(file))


_OPENING = Lock()


@lru_cache(maxsize=4)
def _inside(pictures: Pictures, file: Path, size: int, time: int) -> TarShard | ParquetPictures:
    """What is in `file`, of that size and time; those read last are remembered."""
    return open_packed(pictures, file)


def open_packed(pictures: Pictures, file: Path | StoredFile) -> TarShard | ParquetPictures:
    """What is in the tar or Parquet file `file`; raises what their classes raise."""
    if file.suffix.lower() == TAR:
        return TarShard(file)
    return ParquetPictures(file, pictures.image_column, pictures.id_column)


def _is_packed(file: Path) -> bool:
    return file.suffix.lower() in (TAR, PARQUET) and file.is_file()


def holder_of(path: Path) -> Path | None:
    """The tar or Parquet file in which the picture named by `path` lies; None where it is a file of its own."""
    return next(filter(_is_packed, path.parents), None)


def state_of(path: Path) -> tuple[int, int]:
    """Of the file that is or holds `path`: size in bytes and time of the last write in nanoseconds; (-1, -1) where
    there is no such file."""
    try:
        status = (holder_of(path) or path).stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns

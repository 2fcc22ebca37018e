"""Photos on disk: they are found in folders, and read whole or not at all."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePath

import cv2
import numpy as np

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.dimensions import image_size
from fiqa_runtime.images.jpeg import START, decode_jpeg
from fiqa_runtime.images.preprocess import Image

SUFFIXES = frozenset(
    (".bmp", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
"""Files that count as images when a folder is searched; compared without regard to case."""
IN_SOME_OPENCV = frozenset((".avif", ".jp2"))
"""They count too where this OpenCV was built with their codec."""

MOST_PIXELS = 1 << 28
"""A picture with more is not decoded: its pixels alone would take 0.8 GB of memory."""

LISTED = 4
"""Reasons told on the terminal; machine output names every file."""

_KINDS = ", ".join(sorted(SUFFIXES))


def read_image(path: str | Path) -> Image:
    """The picture at `path` as uint8 BGR (H, W, 3), the same pixels as `cv2.imread`.

    Grey is replicated to three channels; alpha is dropped, not blended, so that transparent pixels show the
    colour stored under them; 16 bits per channel are reduced to 8; EXIF orientation is applied. Any path that
    the operating system accepts will do, whatever its script.

    Raises InputError where there is no such file, and where it is not an image, damaged or cut short. A JPEG
    without its end marker is refused, although OpenCV 4 would fill the missing part with grey, and so is one whose data
    end before its picture does, although every OpenCV would; a picture of more than :data:`MOST_PIXELS` is refused,
    whatever few bytes it has. Values of at most 12 bits that stand unscaled in 16 bits, as some infrared cameras store
    them, are refused too: in 8 bits almost nothing would be left of them.
    """
    path = Path(path)
    return decode_image(_read(path), str(path))


def decode_image(data: bytes, name: str, most_pixels: int = MOST_PIXELS) -> Image:
    """The picture in the bytes of a file, as :func:`read_image` gives it; errors call it `name`.

    Raises InputError as :func:`read_image` does, and where it has more than `most_pixels`.
    """
    width, height = image_size(data) or (0, 0)
    if width * height > most_pixels:
        raise InputError(f"{name} has {width} x {height} pixels, more than {most_pixels:,}; shrink or cut it first")
    try:
        image = _decoded(data) if data else None
    except cv2.error as error:
        raise InputError(f"OpenCV refuses {name} ({error.err}); shrink it or save it as PNG") from error
    except ValueError as error:
        raise InputError(f"{name} is {error}; copy or download it again") from error
    if image is None:
        raise InputError(f"{name} is damaged, cut short or not an image; copy it again or save it as PNG")
    if image.max() < 1 << 4:
        _refuse_unscaled(name, data)
    return np.asarray(image, np.uint8)


@dataclass(frozen=True)
class Found:
    """What a search for images gave."""

    images: list[Path] = field(default_factory=list)
    passed_over: dict[Path, str] = field(default_factory=dict)
    """What stands in the folders and is not among the images, and why; hidden files and folders are left out."""

    def note(self, where: str = "folders") -> str | None:
        """One line for people on what was passed over in `where`; None where nothing was."""
        if not self.passed_over:
            return None
        return f"passed over in {where}: {len(self.passed_over)}{listed(Counter(self.passed_over.values()))}"


def listed(reasons: Counter[str]) -> str:
    """`` (3 damaged, 1 empty)``, the commonest first; an empty text where there are none."""
    if not reasons:
        return ""
    told = [f"{count} {reason}" for reason, count in reasons.most_common(LISTED)]
    rest = len(reasons) - LISTED
    return f" ({', '.join(told)}{f', and {rest} more reasons' if rest > 0 else ''})"


def find_images(paths: Iterable[str | Path]) -> list[Path]:
    """The images of :func:`search_images`."""
    return search_images(paths).images


def search_images(paths: Iterable[str | Path]) -> Found:
    """Every image named in `paths`: files as they are given, folders searched to the bottom, sorted.

    In folders, files with one of :data:`SUFFIXES` or :data:`IN_SOME_OPENCV` count, and no name that begins with a dot.
    Linked folders are not entered. An image that is met twice, by whatever path, is listed once, as it was met first;
    links to files are images of their own. Raises InputError for a path that does not exist or may not be looked into,
    and for a folder without images.
    """
    images: dict[Path, Path] = {}
    passed_over: dict[Path, str] = {}
    for path in map(Path, paths):
        try:
            found = _images_at(path)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"cannot search {path}: {reason}; check its name and permissions") from error
        for image in found.images:
            images.setdefault(image.parent.resolve() / image.name, image)
        passed_over |= found.passed_over
    return Found(list(images.values()), passed_over)


def _images_at(path: Path) -> Found:
    if path.is_dir():
        found = _search(path)
        if not found.images:
            rest = f", only {len(found.passed_over)} other files" if found.passed_over else ""
            raise InputError(f"no images under {path}{rest}; name a folder with {_KINDS} files")
        return found
    if not path.exists():
        raise InputError(f"there is no file or folder {path}; check the spelling")
    return Found([path])


def _search(folder: Path) -> Found:
    images: list[Path] = []
    passed_over: dict[Path, str] = {}

    def closed(error: OSError) -> None:
        if Path(error.filename) == folder:
            raise error
        passed_over[Path(error.filename)] = f"folders that cannot be searched: {error.strerror}"

    for place, folders, files in os.walk(folder, onerror=closed):
        folders[:] = [name for name in folders if not name.startswith(".")]
        linked = {name for name in folders if os.path.islink(os.path.join(place, name))}  # noqa: PTH114, PTH118
        passed_over |= {Path(place, name): "linked folders" for name in linked}
        for name in files:
            if not name.startswith("."):
                path = Path(place, name)
                why_not = _not_an_image(path)
                if why_not:
                    passed_over[path] = why_not
                else:
                    images.append(path)
    return Found(sorted(images), dict(sorted(passed_over.items())))


def other_kind(path: PurePath) -> str:
    """Which other kind of file `path` is by its name; empty for an image."""
    suffix = path.suffix.lower()
    if suffix in IN_SOME_OPENCV and not _opencv_reads(suffix):
        return f"{suffix} files, which this OpenCV does not read"
    if suffix not in SUFFIXES | IN_SOME_OPENCV:
        return f"{suffix} files" if suffix else "files without a suffix"
    return ""


def _not_an_image(path: Path) -> str:
    """Why the file `path` is passed over; empty for an image."""
    return other_kind(path) or ("" if path.is_file() else "links that lead nowhere, or no files")


@cache
def _opencv_reads(suffix: str) -> bool:
    """Whether OpenCV has the codec of `suffix`; it tells of the half that writes."""
    return bool(cv2.haveImageWriter(f"a{suffix}"))


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise InputError(f"{path} is a folder; name an image file")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"there is no image {path}; check the spelling") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot read {path}: {reason}; check its name and permissions") from error


def _decoded(data: bytes) -> Image | None:
    if data.startswith(START):
        return decode_jpeg(data)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)


def _refuse_unscaled(name: str, data: bytes) -> None:
    """Raise InputError where `data` has 16 bits per channel and uses a sixteenth of them at most; black is let by."""
    deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    largest = int(deep.max()) if deep is not None and deep.dtype == np.uint16 else 0
    if largest:
        factor = 1 << (16 - largest.bit_length())
        raise InputError(
            f"{name} has 16 bits per channel, but its largest value is {largest:,} of 65,535, so that it is almost "
            f"black; multiply its values by {factor:,} and save it again"
        )

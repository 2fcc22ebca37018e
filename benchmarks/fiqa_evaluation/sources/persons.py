"""Pictures whose persons are known: folders of persons, a CSV of `image,person`, XQLFW's tree with its pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.jpeg import START
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.system.documents import parse_csv, read_text
from numpy.typing import NDArray

from fiqa_evaluation.data_set.files import Ints
from fiqa_evaluation.sources.pair_lists import all_pairs, matched, read_named_pairs
from fiqa_evaluation.sources.source import Source, check_distinct, plain_name

Crop = Callable[[Image], Image]
"""From a photo, uint8 BGR, to an aligned crop."""
XQLFW_PAIRS = "xqlfw_pairs.txt"


def open_folders(folder: Path, pairs: Path | None, crop: Crop | None, share: float, seed: int) -> Source:
    """`<person>/<image>`: images are called by their path below `folder`, without suffix.

    `pairs` is a list of pairs; None: all pairs of :func:`all_pairs`. `crop` makes crops of photos; None: they are
    crops.
    """
    files = find_images([folder])
    loose = [file for file in files if file.parent == folder]
    if loose:
        raise InputError(f"{loose[0]} is in no person's folder; make a folder per person, or give a CSV")
    paths = [file.relative_to(folder) for file in files]
    names = [plain_name(path.with_suffix("").as_posix()) for path in paths]
    return _source("persons", files, names, [path.parts[0] for path in paths], pairs, crop, share, seed)


def open_csv(table: Path, pairs: Path | None, crop: Crop | None, share: float, seed: int) -> Source:
    """A CSV with the columns image and person among others; images are beside it or below its folder.

    An image that is not there is listed among the missing.
    """
    rows = _rows(table)
    there = [(table.parent / image, image, person) for image, person in rows]
    missing = [image for file, image, _ in there if not file.is_file()]
    there = [row for row in there if row[0].is_file()]
    if not there:
        raise InputError(f"{table} names {len(missing)} images and none is there, as '{missing[0]}'; check the paths")
    names = [plain_name(Path(image).with_suffix("").as_posix()) for _, image, _ in there]
    source = _source("csv", [row[0] for row in there], names, [row[2] for row in there], pairs, crop, share, seed)
    return source if not missing else _with_missing(source, missing)


def open_xqlfw(folder: Path, pairs: Path, crop: Crop | None) -> Source:
    """A tree `<person>/<person>_0001.jpg` anywhere below `folder`, with a list in LFW's form; images are called by
    their names alone, as in the list."""
    files = find_images([folder])
    names = [plain_name(file.stem) for file in files]
    check_distinct(names, files)
    named = read_named_pairs(pairs)
    wanted = {name for a, b, _ in named for name in (a, b)}
    kept = [place for place, name in enumerate(names) if name in wanted]
    files, names = [files[place] for place in kept], [names[place] for place in kept]
    ends, genuine, missing, lost = matched(named, {name: place for place, name in enumerate(names)}, pairs)
    persons = [plain_name(file.parent.name) for file in files]
    return Source("xqlfw", names, _loader(files, crop), ends, genuine, persons, None, missing, lost)


def _source(
    kind: str,
    files: Sequence[Path],
    names: Sequence[str],
    persons: Sequence[str],
    pairs: Path | None,
    crop: Crop | None,
    share: float,
    seed: int,
) -> Source:
    check_distinct(names, files)
    persons = [plain_name(person) for person in persons]
    missing: list[str] = []
    lost = 0
    ends: Ints
    genuine: NDArray[np.bool_]
    if pairs is None:
        ends, genuine = all_pairs(persons, share, seed)
    else:
        places = {name: place for place, name in enumerate(names)}
        ends, genuine, missing, lost = matched(read_named_pairs(pairs), places, pairs)
    settings = {"impostor_share": share, "seed": seed} if pairs is None else {}
    return Source(kind, names, _loader(files, crop), ends, genuine, persons, None, missing, lost, settings)


def _loader(files: Sequence[Path], crop: Crop | None) -> Callable[[int], bytes | Image]:
    def load(place: int) -> bytes | Image:
        image = read_image(files[place])
        if crop is not None:
            try:
                return crop(image)
            except InputError as error:
                raise InputError(f"{files[place]}: {error}") from error
        data = files[place].read_bytes()
        return data if data.startswith(START) else image

    return load


def _with_missing(source: Source, missing: Sequence[str]) -> Source:
    from dataclasses import replace

    return replace(source, missing=[*source.missing, *missing])


def _rows(table: Path) -> list[tuple[str, str]]:
    try:
        header, *rows = parse_csv(read_text(table)) or [[]]
    except OSError as error:
        raise InputError(f"cannot read {table}: {error.strerror}; check the path") from error
    except ValueError as error:
        raise InputError(f"{table} is not CSV ({error}); give a header with image and person, then lines") from error
    columns = [name.strip().lower() for name in header]
    if columns.count("image") != 1 or columns.count("person") != 1:
        raise InputError(f"{table} has the columns {columns}; call one of them image and one person")
    image, person = columns.index("image"), columns.index("person")
    short = [row for row in rows if len(row) != len(columns) or not row[image].strip() or not row[person].strip()]
    if short or not rows:
        raise InputError(f"{table}: the line {short[0] if short else '(none)'} does not name an image and a person")
    return [(row[image].strip().replace("\\", "/"), row[person].strip()) for row in rows]

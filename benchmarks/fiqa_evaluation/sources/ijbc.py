"""IJB-C as its protocol is handed out: loose crops, five points per crop, lists of templates and of their pairs."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.align import arcface_crop
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import read_image

from fiqa_evaluation.data_set.files import numbered_lines
from fiqa_evaluation.data_set.templates import Templates, read_templates, without_image_suffix
from fiqa_evaluation.sources.source import Source

CROPS, META = "loose_crop", "meta"
TEMPLATES, LABELS, POINTS = "face_tid_mid.txt", "template_pair_label.txt", "name_5pts_score.txt"


def is_ijbc(folder: Path) -> bool:
    """Whether `folder` looks like IJB-B or IJB-C."""
    return any((folder / META).glob(f"*_{TEMPLATES}")) if (folder / META).is_dir() else False


def open_ijbc(folder: Path) -> Source:
    """Crops are aligned by their five points, least squares, to the standard template, 112 x 112 pixels.

    Images that are not there fall out of their templates, templates without images out of the pairs; both are counted.
    Raises InputError where a list is missing or damaged, or nothing is left.
    """
    points = _points(_list(folder, POINTS))
    listed = read_templates(_list(folder, TEMPLATES))
    files = {name: folder / CROPS / file for name, (file, _) in points.items()}
    there = np.array([name in files and files[name].is_file() for name in listed.images])
    missing = [name for name, found in zip(listed.images, there.tolist(), strict=True) if not found]
    templates = _with_images(listed, there, folder)
    places = {name: place for place, name in enumerate(templates.names)}
    ends, genuine, lost = _pairs(_list(folder, LABELS), places)
    names = templates.images

    def load(place: int) -> bytes | Image:
        name = names[place]
        return arcface_crop(read_image(files[name]), points[name][1])

    loader: Callable[[int], bytes | Image] = load
    flags = np.frombuffer(genuine, np.bool_)
    pairs = np.array(ends, np.int64).reshape(-1, 2)
    return Source("ijb-c", names, loader, pairs, flags, None, templates, missing, lost)


def _list(folder: Path, ending: str) -> Path:
    found = sorted((folder / META).glob(f"*_{ending}"))
    if len(found) != 1:
        raise InputError(f"{folder / META} holds {len(found)} files *_{ending}; it needs one, as in IJB-C's release")
    return found[0]


def _points(path: Path) -> dict[str, tuple[str, np.ndarray]]:
    """File name and landmarks (5, 2) of each image; lines are `file x1 y1 ... x5 y5 score`."""
    found = {}
    for number, line in numbered_lines(path):
        file, *numbers = line.split()
        try:
            values = np.array(numbers[:10], np.float64)
        except ValueError:
            values = np.empty(0)
        if values.size != 10 or not np.isfinite(values).all() or len(numbers) > 11 or "/" in file or "\\" in file:
            raise InputError(f"{path}, line {number}: write 'file x1 y1 ... x5 y5 score', not '{line.strip()[:80]}'")
        found[without_image_suffix(file)] = (file, values.reshape(5, 2))
    return found


def _with_images(listed: Templates, there: np.ndarray, folder: Path) -> Templates:
    if not there.any():
        raise InputError(f"{folder / CROPS} holds none of {len(there)} listed images; put the loose crops there")
    new = np.cumsum(there) - 1
    kept = there[listed.image]
    used = np.unique(listed.template[kept])
    names = tuple(listed.names[place] for place in used.tolist())
    images = tuple(name for name, found in zip(listed.images, there.tolist(), strict=True) if found)
    lines = (new[listed.image[kept]], np.searchsorted(used, listed.template[kept]), listed.media[kept])
    return Templates(names, images, *lines)


def _pairs(path: Path, places: dict[str, int]) -> tuple[array[int], bytearray, int]:
    """Indices of templates, flags, and how many pairs fell away."""
    ends, genuine, lost = array("q"), bytearray(), 0
    for number, line in numbered_lines(path):
        fields = line.split()
        if len(fields) != 3 or fields[2] not in ("0", "1"):
            raise InputError(f"{path}, line {number}: write 'template template 1' (or 0), not '{line.strip()[:80]}'")
        one, other = places.get(fields[0]), places.get(fields[1])
        if one is None or other is None:
            lost += 1
            continue
        ends.append(one)
        ends.append(other)
        genuine.append(fields[2] == "1")
    if not genuine:
        raise InputError(f"{path} names no two templates that have images; check the lists")
    return ends, genuine, lost

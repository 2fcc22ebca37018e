"""Who is on which image: as a list says it, or as far as the genuine pairs tell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fiqa_runtime.errors import InputError
from numpy.typing import NDArray

from fiqa_evaluation.data_set.files import Ints, numbered_lines


def identities_of_pairs(count: int, pairs: Ints, genuine: NDArray[np.bool_]) -> Ints:
    """The identity (N,) of each of `count` images, numbered from 0: images that genuine pairs connect are one person.

    Somebody whose images are connected by no genuine pair counts as several. `pairs` (P, 2) are indices of images.
    """
    parent = list(range(count))

    def root(image: int) -> int:
        while parent[image] != image:
            parent[image] = parent[parent[image]]
            image = parent[image]
        return image

    for left, right in pairs[genuine].tolist():
        parent[root(left)] = root(right)
    roots = np.array([root(image) for image in range(count)], np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def read_persons(path: Path, names: Sequence[str]) -> Ints:
    """The identity (N,) of each of the images `names`, numbered from 0, from lines of `name person`.

    Raises InputError for a line of another form, for an image that is listed twice with two persons, and where an image
    of `names` is not listed.
    """
    persons: dict[str, str] = {}
    for number, line in numbered_lines(path):
        fields = line.split()
        if len(fields) != 2:
            raise InputError(f"{path}, line {number}: write 'name person', not '{line.strip()[:80]}'")
        if persons.setdefault(fields[0], fields[1]) != fields[1]:
            raise InputError(f"{path}, line {number}: {fields[0]} is two persons; keep one of the lines")
    missing = [name for name in names if name not in persons]
    if missing:
        raise InputError(f"{path} lacks {len(missing)} of {len(names)} images, as '{missing[0]}'; add their persons")
    return np.unique([persons[name] for name in names], return_inverse=True)[1].astype(np.int64)

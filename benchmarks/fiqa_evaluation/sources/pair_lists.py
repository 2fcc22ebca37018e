"""Which pairs are compared: read from a list of the data set, or made of who is on the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from fiqa_runtime.errors import InputError
from numpy.typing import NDArray

from fiqa_evaluation.data_set.files import Ints, numbered_lines
from fiqa_evaluation.data_set.templates import without_image_suffix
from fiqa_evaluation.sources.source import plain_name

MOST = 100_000_000
"""Most pairs that are made: their list alone has gigabytes."""
NamedPair = tuple[str, str, bool]


def read_named_pairs(path: Path) -> list[NamedPair]:
    """Pairs by the names of their images, from either kind of list.

    Lines of CR-FIQA, `name_a name_b 1` or `0`, or those of LFW and XQLFW behind a head line of numbers: `person i j`
    for a genuine pair of the images `person_000i` and `person_000j`, `person_a i person_b j` for an impostor pair.
    Raises InputError for any other line.
    """
    found: list[NamedPair] = []
    for number, line in numbered_lines(path):
        fields = line.rstrip("\n").split("\t") if "\t" in line else line.split()
        fields = [plain_name(field.strip()) for field in fields]
        if number == 1 and all(field.isdecimal() for field in fields) and len(fields) < 3:
            continue
        pair = _pair(fields)
        if pair is None:
            raise InputError(
                f"{path}, line {number}: write 'name_a name_b 1' (or 0), 'person i j' or 'person_a i person_b j', "
                f"not '{line.strip()[:80]}'"
            )
        found.append(pair)
    if not found:
        raise InputError(f"{path} holds no pairs; name the data set's own pair list")
    return found


def _pair(fields: Sequence[str]) -> NamedPair | None:
    if len(fields) == 4 and fields[1].isdecimal() and fields[3].isdecimal():
        return _image(fields[0], fields[1]), _image(fields[2], fields[3]), False
    if len(fields) != 3:
        return None
    if fields[1].isdecimal() and fields[2].isdecimal() and not fields[0].isdecimal():
        return _image(fields[0], fields[1]), _image(fields[0], fields[2]), True
    if fields[2] in ("0", "1"):
        return without_image_suffix(fields[0]), without_image_suffix(fields[1]), fields[2] == "1"
    return None


def _image(person: str, number: str) -> str:
    return f"{person}_{int(number):04d}"


def matched(
    named: Sequence[NamedPair], places: Mapping[str, int], where: Path
) -> tuple[Ints, NDArray[np.bool_], list[str], int]:
    """Indices (P, 2) and flags (P,) of the pairs whose images are there, the names that are not, and how many pairs
    fell away.

    Raises InputError where no pair is left: list and folder are not of one data set.
    """
    kept = [(places[a], places[b], same) for a, b, same in named if a in places and b in places]
    missing = list(dict.fromkeys(name for a, b, _ in named for name in (a, b) if name not in places))
    if not kept:
        example = next(iter(places), "nothing")
        raise InputError(
            f"{where} names none of the images (it has '{missing[0]}', the folder '{example}'); "
            "name the list of this set"
        )
    ends = np.array([pair[:2] for pair in kept], np.int64)
    return ends, np.array([pair[2] for pair in kept], np.bool_), missing, len(named) - len(kept)


def all_pairs(persons: Sequence[str], impostor_share: float, seed: int) -> tuple[Ints, NDArray[np.bool_]]:
    """Every genuine pair of images by who is on them, and a share of the impostor pairs, drawn with a seed.

    Genuine pairs come first, both kinds in the order of the images. Raises InputError where all images are of one
    person, no person has two images, or the pairs are more than :data:`MOST`.
    """
    if not 0 < impostor_share <= 1:
        raise InputError(f"the share of impostor pairs is {impostor_share:g}; give one above 0, up to 1")
    identity = np.unique(list(persons), return_inverse=True)[1]
    count = len(identity)
    if not count or identity.max() == 0:
        raise InputError("all images are of one person, so there are no impostor pairs; add other persons")
    order = np.argsort(identity, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(identity[order])) + 1)
    same = [np.stack(np.triu_indices(len(group), 1), axis=1) for group in groups]
    genuine = np.concatenate([group[ends] for group, ends in zip(groups, same, strict=True)])
    if not len(genuine):
        raise InputError("no person has two images, so there are no genuine pairs; add images of the same persons")
    others = count * (count - 1) // 2 - len(genuine)
    wanted = max(round(impostor_share * others), 1)
    if wanted + len(genuine) > MOST:
        raise InputError(
            f"{wanted + len(genuine):,} pairs are more than {MOST:,}; draw a share with --impostor-share "
            f"{MOST / 2 / others:.1g}"
        )
    impostor = _drawn(identity, wanted, others, np.random.default_rng(seed))
    genuine = genuine[np.lexsort((genuine[:, 1], genuine[:, 0]))]
    return np.concatenate([genuine, impostor]), np.repeat([True, False], [len(genuine), len(impostor)])


def _drawn(identity: NDArray[np.intp], wanted: int, others: int, generator: np.random.Generator) -> Ints:
    """`wanted` of the `others` impostor pairs (a < b), in the order of the images."""
    count = len(identity)
    if wanted > others // 4:
        ends = np.stack(np.triu_indices(count, 1), axis=1)
        ends = ends[identity[ends[:, 0]] != identity[ends[:, 1]]]
        chosen = np.sort(generator.choice(others, wanted, replace=False)) if wanted < others else slice(None)
        return np.asarray(ends[chosen], np.int64)
    found = np.empty(0, np.int64)
    while len(found) < wanted:
        a, b = generator.integers(count, size=(2, 2 * wanted))
        a, b = np.minimum(a, b), np.maximum(a, b)
        fresh = np.unique((a * count + b)[identity[a] != identity[b]])
        found = np.union1d(found, fresh)
    found = np.sort(generator.choice(found, wanted, replace=False))
    return np.stack(np.divmod(found, count), axis=1)

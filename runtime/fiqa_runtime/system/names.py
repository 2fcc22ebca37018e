"""Names of images in files of others, and the images they mean: one rule for labels, references and quality files.

Names are compared from their end, folder by folder, with either kind of slash, in either form of Unicode. A name fits
an image where one of the two paths ends with the other, suffixes of files apart; the path of an image is what tells the
images apart, below the folder that they have in common. Of several images that fit, the one with just that path is
meant, then the one that shares most of its path with the name, then one of the same suffix.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePath

from fiqa_runtime.errors import InputError

Parts = tuple[str, ...]


class ImageNames:
    """Images, to be found by the names that files of others give them.

    ImageNames(["crops/a.png", "crops/b.png"]).find("C:\\\\faces\\\\a.jpg")     # 0
    """

    def __init__(self, images: Sequence[str | PurePath], root: str | PurePath | None = None) -> None:
        """`root` is the folder below which paths count; None: the deepest one that all images are in."""
        self._images = images
        self._whole = [_parts(image) for image in images]
        folders = [parts[:-1] for parts in self._whole]
        above = len(_parts(root)) if root is not None else min((_equal(folders[0], f) for f in folders), default=0)
        self._below = [_without_suffix(parts[above:]) for parts in self._whole]
        self._by_end: dict[Parts, list[int]] = defaultdict(list)
        for index, parts in enumerate(self._below):
            for start in range(len(parts)):
                self._by_end[parts[start:]].append(index)

    def find(self, name: str) -> int | None:
        """Which image `name` means; None where none fits. Raises InputError where several fit equally well."""
        whole = _parts(name)
        if not whole:
            return None
        stem = _without_suffix(whole)
        fitting = list(dict.fromkeys((*self._fitting(whole), *self._fitting(stem))))
        if len(fitting) < 2:
            return fitting[0] if fitting else None
        ranks = [(self._below[index] in (whole, stem), *self.closeness(name, index)) for index in fitting]
        if ranks.count(max(ranks)) > 1:
            raise InputError(
                f"{len(fitting)} images fit the name '{name}', as {self._images[fitting[0]]} and "
                f"{self._images[fitting[1]]}; write more of its path"
            )
        return fitting[ranks.index(max(ranks))]

    def _fitting(self, parts: Parts) -> list[int]:
        """Images whose path ends with `parts`, else those with whose whole path `parts` end."""
        if found := self._by_end.get(parts):
            return found
        ends = (parts[start:] for start in range(1, len(parts)))
        longest = next((end for end in ends if any(self._below[i] == end for i in self._by_end.get(end, ()))), None)
        return [] if longest is None else [i for i in self._by_end[longest] if self._below[i] == longest]

    def closeness(self, name: str, index: int) -> tuple[int, bool]:
        """How much of the image's path `name` shares: equal folders counted from the end, and whether the suffixes are
        equal."""
        one, other = _parts(name), self._whole[index]
        return _equal(one[-2::-1], other[-2::-1]), one[-1:] == other[-1:]


def _parts(path: str | PurePath) -> Parts:
    """Folders and name, without a drive and steps that lead nowhere; behind the last step upwards."""
    text = unicodedata.normalize("NFC", str(path)).replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".") and not part.endswith(":")]
    upwards = [index for index, part in enumerate(parts) if part == ".."]
    return tuple(parts[upwards[-1] + 1 :] if upwards else parts)


def _equal(one: Parts, other: Parts) -> int:
    """How many parts are equal from the beginning."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _without_suffix(parts: Iterable[str]) -> Parts:
    *folders, name = parts
    return (*folders, PurePath(name).stem)

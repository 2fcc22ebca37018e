"""Engines or quality files against opinion scores: over all images, and over each group of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.system.names import ImageNames

from fiqa_evaluation.opinions.accuracy import FEWEST_TO_FIT, Accuracy, accuracy
from fiqa_evaluation.opinions.labels import LabelledImages
from fiqa_evaluation.opinions.score_labels import Unusable

LISTED = 3
"""Names shown of a long list."""


@dataclass(frozen=True)
class Opinions:
    """How well scores fit opinions."""

    whole: Accuracy
    groups: Mapping[str, Accuracy]
    """By value of the column, in alphabetical order."""
    column: str | None
    labels: LabelledImages
    scores: Mapping[Path, Mapping[str, float]]
    """By image, then by engine."""
    mos: Mapping[Path, float]
    unusable: Unusable
    notes: tuple[str, ...]

    def as_json(self, file: Path) -> dict[str, Any]:
        """The part `mos` of a document; `file` is that of the labels."""
        return {
            **self.whole.as_json(),
            "notes": list(self.notes),
            "column": self.column,
            "groups": {name: found.as_json() for name, found in self.groups.items()},
            "labels": {
                "file": str(file),
                "missing": list(self.labels.missing),
                "unlabelled": list(map(str, self.labels.unlabelled)),
            },
            "accounting": {
                "given": len(self.labels.paths),
                "scored": len(self.scores),
                "refused": len(self.unusable),
            },
            "refused": [{"path": str(path), "error": str(error)} for path, error in self.unusable.items()],
            "scores": [
                {"path": str(path), "mos": self.mos[path], "engines": dict(row)} for path, row in self.scores.items()
            ],
        }

    def error(self) -> InputError | None:
        """What names the images that could not be scored, to be raised at the end."""
        if not self.unusable:
            return None
        first = next(iter(self.unusable.values()))
        return InputError(f"{len(self.unusable)} labelled images were left out: {first}")


def fit(
    labels: LabelledImages,
    scored: Mapping[str, Mapping[Path, float]],
    unusable: Unusable,
    groups: Mapping[str, str] | None = None,
    column: str | None = None,
    root: Path | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Opinions:
    """Compare the scores of each engine, by image, with the labels; images in `unusable` are left out.

    `groups` says by image name to which group of the `column` an image belongs; names are matched below `root`. Groups
    of fewer than six images, or of equal opinion scores, are told and not compared. Raises InputError where no image is
    left.
    """
    mos = {p: m for p, m in zip(labels.paths, labels.mos.tolist(), strict=True) if p not in unusable}
    if not mos:
        raise InputError(f"none of {len(labels.paths)} labelled images can be scored: {next(iter(unusable.values()))}")
    whole = _accuracy(mos, scored, list(mos), resamples, seed)
    members, notes = _members(list(mos), groups or {}, root)
    found: dict[str, Accuracy] = {}
    for name, paths in sorted(members.items()):
        if len(paths) < FEWEST_TO_FIT or len({mos[path] for path in paths}) < 2:
            notes.append(f"{column} {name}: {len(paths)} images of too few opinion scores, not compared")
        else:
            found[name] = _accuracy(mos, scored, paths, resamples, seed)
    said = [line for line in (_unmatched(labels), *whole.notes, *notes) if line]
    rows = {path: {engine: of[path] for engine, of in scored.items()} for path in mos}
    return Opinions(whole, found, column, labels, rows, mos, unusable, tuple(said))


def _accuracy(
    mos: Mapping[Path, float],
    scored: Mapping[str, Mapping[Path, float]],
    paths: Sequence[Path],
    resamples: int,
    seed: int,
) -> Accuracy:
    lists = {engine: np.array([of[path] for path in paths]) for engine, of in scored.items()}
    return accuracy(np.array([mos[path] for path in paths]), lists, resamples, seed)


def _members(
    paths: Sequence[Path], groups: Mapping[str, str], root: Path | None
) -> tuple[dict[str, list[Path]], list[str]]:
    """Images by group, and what is to be said of those without."""
    if not groups:
        return {}, []
    names = ImageNames(paths, root)
    members: dict[str, list[Path]] = {}
    seen: set[Path] = set()
    for image, group in groups.items():
        place = names.find(image)
        if place is not None:
            members.setdefault(group, []).append(paths[place])
            seen.add(paths[place])
    lost = len(paths) - len(seen)
    return members, [f"{lost} images are in no group"] * (lost > 0)


def _unmatched(matched: LabelledImages) -> str:
    """A line that counts labels without image and images without label, and names the first few."""
    parts = [
        f"{len(names)} {what} ({', '.join(map(str, names[:LISTED]))}{', ...' if len(names) > LISTED else ''})"
        for names, what in ((matched.missing, "labels without image"), (matched.unlabelled, "images without label"))
        if names
    ]
    return " and ".join(parts) + " were left out" if parts else ""

"""Checks that degradation ladders which are monotone for the reference stay so: a stronger degradation, never a better
score."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from fiqa_runtime.artefact.facts import BrokenLadder
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.ladder import PRISTINE, Rung
from fiqa_runtime.scoring.agreement import Scores, score_lists
from numpy.typing import NDArray


@dataclass(frozen=True)
class Monotony:
    """How many ladders keep their order."""

    ladders: int
    """One per photo and kind."""
    reference: int
    """Ladders that are monotone, falling or rising, under the reference."""
    broken: tuple[BrokenLadder, ...]
    """Ladders among them that are not monotone under the other scores, the largest wrong step first."""

    @property
    def kept(self) -> int:
        """Ladders that are monotone in the same direction under both."""
        return self.reference - len(self.broken)

    def __str__(self) -> str:
        text = f"{self.kept} of {self.reference} monotone ladders stay monotone ({self.ladders} in all)"
        if not self.broken:
            return text
        worst = self.broken[0]
        return f"{text}; worst: {worst.kind} of photo {worst.source}, {worst.step:.2%} of the score range"

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return {**asdict(self), "kept": self.kept}


def monotony(rungs: Sequence[Rung], reference: Scores, other: Scores) -> Monotony:
    """Compare two score lists (N,) of the N pictures that `rungs` describe, in the same order.

    A ladder is a photo's pristine picture and all strengths of one kind; equal neighbours count as monotone. Both
    directions are accepted, since trained networks fall and seeded ones may rise. Raises InputError where the lists are
    not as long as `rungs`, hold NaN or infinity, or a photo has no pristine picture.
    """
    first, second = score_lists(reference, other)
    if first.size != len(rungs):
        raise InputError(f"{first.size} scores for {len(rungs)} pictures; give one score per picture of the ladders")
    found = list(_ladders(rungs))
    span = float(np.ptp(first))
    monotone = 0
    broken: list[BrokenLadder] = []
    for source, kind, positions in found:
        directions = [sign for sign in (-1, 1) if _wrong_step(first[positions], sign) == 0]
        if not directions:
            continue
        monotone += 1
        step = min(_wrong_step(second[positions], sign) for sign in directions)
        if step > 0:
            broken.append(BrokenLadder(source, kind, step / span if span else 1.0))
    return Monotony(len(found), monotone, tuple(sorted(broken, key=lambda ladder: -ladder.step)))


def _ladders(rungs: Sequence[Rung]) -> Iterator[tuple[int, str, list[int]]]:
    """(photo, kind, positions in `rungs` by rising strength), the pristine picture first."""
    pristine = {rung.source: i for i, rung in enumerate(rungs) if rung.kind == PRISTINE}
    groups: dict[tuple[int, str], list[int]] = defaultdict(list)
    for i, rung in enumerate(rungs):
        if rung.kind != PRISTINE:
            groups[rung.source, rung.kind].append(i)
    for (source, kind), positions in groups.items():
        if source not in pristine:
            raise InputError(f"photo {source} has a {kind} ladder without its pristine picture; score that one too")
        yield source, kind, [pristine[source], *sorted(positions, key=lambda i: rungs[i].strength)]


def _wrong_step(scores: NDArray[np.float64], sign: int) -> float:
    """Largest step against `sign`; 0 where every step goes that way."""
    return float(max(0.0, (-sign * np.diff(scores)).max()))

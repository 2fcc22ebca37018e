"""Finds the nodes of a reduced network that have to go back to higher precision for it to keep the ranking.

Nodes are ordered by the harm that reducing them does, relative to what keeping them costs. A mixture keeps the first
few nodes of that order in higher precision and reduces the others. The search evaluates mixtures that keep more and
more nodes until one is within the budget, halves the gap to the last one that was not, and then looks well below that
too. Every mixture that was evaluated is in a journal, so that a search that was stopped goes on where it stood.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fiqa_runtime.errors import InputError, VerdictError
from fiqa_runtime.system.documents import parse_json, read_text
from fiqa_runtime.system.files import write_text
from fiqa_runtime.system.progress import Report, silent

CHEAP = 0.003
"""Smallest cost of a node, as a share of the whole. A cheaper one counts as this, so that nodes without harm come
last."""


@dataclass(frozen=True)
class Judged:
    """What `evaluate` says about a mixture of precisions."""

    quality: float
    """Larger is better. For networks that rank it is Spearman's correlation with the reference; NaN where that is
    undefined."""
    failures: tuple[str, ...] = ()
    """One line for each part of the budget that is missed; empty where the mixture is within the budget."""
    facts: Mapping[str, float] = field(default_factory=dict)
    """What else is known of the mixture: its size, how much of it is reduced."""


Evaluate = Callable[[frozenset[str]], Judged]
"""The verdict when the named nodes stay in higher precision and all others are reduced."""


@dataclass(frozen=True)
class EvaluatedMixture:
    """One evaluated mixture."""

    kept: tuple[str, ...]
    """Nodes in higher precision, in the order of :func:`ranking`."""
    cost: float
    """Sum of the costs of these nodes."""
    judged: Judged
    """The verdict."""

    @property
    def passed(self) -> bool:
        """Whether it is within the budget."""
        return not self.judged.failures


@dataclass(frozen=True)
class SearchResult:
    """What the search found."""

    mixtures: tuple[EvaluatedMixture, ...]
    """Every mixture evaluated, the cheapest first."""
    chosen: EvaluatedMixture
    """The cheapest within the budget; where no mixture is, the one of the best quality."""
    reduced: tuple[str, ...]
    """Nodes that are reduced in the chosen mixture, in the order of :func:`ranking`."""

    @property
    def pareto(self) -> tuple[EvaluatedMixture, ...]:
        """The mixtures that are better than every cheaper one, the cheapest first."""
        front: list[EvaluatedMixture] = []
        for mixture in self.mixtures:
            if _quality(mixture) > (_quality(front[-1]) if front else -math.inf):
                front.append(mixture)
        return tuple(front)

    def require(self) -> EvaluatedMixture:
        """The chosen mixture; raises VerdictError, which names what blocks it, where it is not within the budget."""
        if self.chosen.passed:
            return self.chosen
        kept = len(self.chosen.kept)
        blocking = ", ".join(self.reduced[:5]) or "nothing"
        raise VerdictError(
            f"no mixture meets the budget; the best one, with {kept} of {kept + len(self.reduced)} parts in higher "
            f"precision, misses it with {'; '.join(self.chosen.judged.failures)}; what is left reduced and blocks it: "
            f"{blocking}; allow more or use --fp16"
        )


def ranking(hurt: Mapping[str, float], cost: Mapping[str, float]) -> list[str]:
    """The nodes of `hurt` in the order in which they go back: by squared hurt divided by cost, largest first.

    A hurt that is NaN counts as infinite.
    """

    def gain(name: str) -> float:
        harm = hurt[name]
        return math.inf if math.isnan(harm) else harm**2 / max(cost.get(name, 0.0), CHEAP)

    return sorted(hurt, key=lambda name: (-gain(name), name))


def search(
    hurt: Mapping[str, float],
    cost: Mapping[str, float],
    evaluate: Evaluate,
    journal: Path | None = None,
    key: str = "",
    report: Report = silent,
    first: int = 0,
) -> SearchResult:
    """Find the shortest beginning of :func:`ranking` whose nodes, kept in higher precision, meet the budget of
    `evaluate`.

    `hurt` says, for every node that can be reduced, how much doing so harms, in any unit; `cost` what keeping it costs,
    as a share of the whole (of the time, of the bytes, or the sum of both). `first` is the length to begin with:
    `evaluate` is called about 2 log2 of its distance to the answer times. Where `journal` names a file, each mixture is
    written to it at once, and those written under the same `key` (a hash of all that decides what `evaluate` returns)
    are not evaluated again.

    Raises InputError where there are no nodes, or where the file `journal` holds something else.
    """
    if not hurt:
        raise InputError("no node of this network can be reduced; use another precision")
    order = ranking(hurt, cost)
    book = _Journal(journal, key)
    tried: dict[int, EvaluatedMixture] = {}

    def passes(count: int) -> bool:
        if count not in tried:
            report("search for nodes to keep", len(tried), max(len(tried) + 1, 4 + 2 * len(order).bit_length()))
            tried[count] = book.find(order[:count]) or book.add(_evaluated(order[:count], cost, evaluate))
        return tried[count].passed

    start = high = min(first, len(order))
    step = 1
    while not passes(high) and high < len(order):
        high, step = min(start + step, (high + len(order) + 1) // 2), 2 * step
    if tried[high].passed:
        _descend(passes, tried, high)
    report("search for nodes to keep", len(tried), len(tried))
    mixtures = tuple(sorted(tried.values(), key=lambda mixture: (mixture.cost, len(mixture.kept))))
    good = [mixture for mixture in mixtures if mixture.passed]
    chosen = good[0] if good else max(mixtures, key=_quality)
    return SearchResult(mixtures, chosen, tuple(order[len(chosen.kept) :]))


def _descend(passes: Callable[[int], bool], tried: Mapping[int, EvaluatedMixture], high: int) -> None:
    """Try counts below `high`, which passes, until one passes and the next smaller one does not.

    A single failure may be bad luck, because decisions flip in whole images. So three quarters of the count must fail
    too.
    """

    def failing() -> int:
        return max((count for count, mixture in tried.items() if count < high and not mixture.passed), default=-1)

    start, step = high, 1
    while failing() < 0 < high:
        below = max(start - step, 0)
        high, step = below if passes(below) else high, 2 * step
    while True:
        low = failing()
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if passes(middle) else (middle, high)
        well_below = high * 3 // 4
        if well_below == high or not passes(well_below):
            return
        high = well_below


def _quality(mixture: EvaluatedMixture) -> float:
    return -math.inf if math.isnan(mixture.judged.quality) else mixture.judged.quality


def _evaluated(kept: Sequence[str], cost: Mapping[str, float], evaluate: Evaluate) -> EvaluatedMixture:
    return EvaluatedMixture(tuple(kept), sum(cost.get(name, 0.0) for name in kept), evaluate(frozenset(kept)))


class _Journal:
    """Evaluated mixtures in a JSON file, or in memory alone."""

    def __init__(self, path: Path | None, key: str) -> None:
        self._path, self._key = path, key
        self._mixtures = self._read(path) if path is not None and path.exists() else []

    def find(self, kept: Collection[str]) -> EvaluatedMixture | None:
        return next((mixture for mixture in self._mixtures if set(mixture.kept) == set(kept)), None)

    def add(self, mixture: EvaluatedMixture) -> EvaluatedMixture:
        self._mixtures.append(mixture)
        if self._path is not None:
            document = {"key": self._key, "trials": [asdict(mixture) for mixture in self._mixtures]}
            write_text(self._path, json.dumps(document, indent=1) + "\n")
        return mixture

    def _read(self, path: Path) -> list[EvaluatedMixture]:
        """The mixtures of an earlier search; an empty list where that search had another key."""
        try:
            data = parse_json(read_text(path))
            return [_from_json(mixture) for mixture in data["trials"]] if data["key"] == self._key else []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is not the journal of a search ({error!r}); delete it and start again") from error


def _from_json(data: Mapping[str, Any]) -> EvaluatedMixture:
    judged = Judged(data["judged"]["quality"], tuple(data["judged"]["failures"]), data["judged"]["facts"])
    return EvaluatedMixture(tuple(data["kept"]), data["cost"], judged)

"""What fiqa-eval computes, in plain loops over lists: templates, bootstrap, false matches, DET, two-sample figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.help.evaluation.plain_discard import FRACTIONS, naive_edc


def unit(vector: Any) -> np.ndarray:
    values = np.asarray(vector, np.float64)
    return values / math.sqrt(float(values @ values))


def angle(a: Any, b: Any) -> float:
    """The distance of CR-FIQA's protocol."""
    return math.acos(max(-1.0, min(1.0, float(unit(a) @ unit(b))))) / math.pi


def template_vector(lines: Sequence[tuple[Any, Any, Any]], template: Any, vectors: dict[Any, Any]) -> np.ndarray:
    """Mean per media, sum over media, length 1."""
    by_media: dict[Any, list[np.ndarray]] = {}
    for image, owner, media in lines:
        if owner == template:
            by_media.setdefault(media, []).append(np.asarray(vectors[image], np.float64))
    return unit(sum(sum(rows) / len(rows) for rows in by_media.values()))


def template_quality(lines: Sequence[tuple[Any, Any, Any]], template: Any, quality: dict[Any, float]) -> float:
    return min(quality[image] for image, owner, _ in lines if owner == template)


def step_area(points: Sequence[tuple[float, float]], limit: float) -> float:
    """Area under a step function of (place, height) up to `limit`."""
    ends = [*(x for x, _ in points[1:]), 1.0]
    return sum(y * max(min(end, limit) - x, 0) for (x, y), end in zip(points, ends, strict=True))


def at(points: Sequence[tuple[float, float]], share: float) -> float:
    return [y for x, y in points if x <= share][-1]


def drawn_pairs(pairs: Sequence[Any], persons: Sequence[int], draw: Sequence[int]) -> list[Any]:
    """The pairs (a, b, genuine, distance) of a draw of persons, each as often as it counts."""
    times = [list(draw).count(person) for person in range(max(persons) + 1)]
    found = []
    for pair in pairs:
        one, other = persons[pair[0]], persons[pair[1]]
        count = times[one] if one == other else times[one] * times[other]
        found += [pair] * count
    return found


def naive_draw(
    pairs: Sequence[Any], persons: Sequence[int], draw: Sequence[int], quality: list[float], fmr: float
) -> tuple[list[float], list[float]]:
    """FNMR at the twenty fractions and partial areas to 0.2 and 0.3 of one draw; NaN where it lacks a kind of pairs."""
    found = drawn_pairs(pairs, persons, draw)
    kinds = {pair[2] for pair in found}
    if len(kinds) < 2:
        return [math.nan] * 20, [math.nan] * 2
    points = naive_edc(found, quality, fmr, False)
    return [at(points, share) for share in FRACTIONS], [step_area(points, limit) for limit in (0.2, 0.3)]


def naive_threshold(pairs: Sequence[Any], by: str, rate: float) -> float:
    """The distance up to which a pair matches, by either starting error."""
    genuine = sorted(d for *_, same, d in pairs if same)
    impostor = sorted(d for *_, same, d in pairs if not same)
    if by == "fnmr":
        return float(next(t for t in genuine if sum(d > t for d in genuine) / len(genuine) <= rate))
    allowed = [t for t in sorted({*genuine, *impostor}) if sum(d <= t for d in impostor) / len(impostor) <= rate]
    return max(allowed, default=-math.inf)


def naive_error(pairs: Sequence[Any], quality: list[float], kind: str, threshold: float) -> list[tuple[float, float]]:
    """(discarded fraction, error) of genuine or impostor pairs alone, at a fixed threshold."""
    own = [(min(quality[a], quality[b]), d) for a, b, same, d in pairs if bool(same) == (kind == "genuine")]
    points = []
    for limit in sorted({q for q, _ in own}):
        left = [d for q, d in own if q >= limit]
        wrong = sum(d > threshold for d in left) if kind == "genuine" else sum(d <= threshold for d in left)
        points.append((1 - len(left) / len(own), wrong / len(left)))
    return points


def naive_det(pairs: Sequence[Any], quality: list[float], fraction: float, rates: Sequence[float]) -> list[float]:
    """FNMR at each false match rate, of the pairs left after the worst were discarded, equal ones together."""
    ranked = sorted(min(quality[a], quality[b]) for a, b, *_ in pairs)
    limit = ranked[math.trunc(fraction * len(ranked))]
    left = [pair for pair in pairs if min(quality[pair[0]], quality[pair[1]]) >= limit]
    genuine = [d for *_, same, d in left if same]
    impostor = [d for *_, same, d in left if not same]
    found = []
    for rate in rates:
        matching = [sum(d <= t for d in impostor) / len(impostor) <= rate for t in genuine]
        found.append(1 - sum(matching) / len(genuine))
    return found


def naive_superiority(one: Sequence[float], other: Sequence[float]) -> float:
    wins = sum((a > b) + (a == b) / 2 for a in one for b in other)
    return wins / (len(one) * len(other))


def naive_distance(one: Sequence[float], other: Sequence[float]) -> float:
    """Kolmogorov and Smirnov's: the largest difference of the cumulative shares."""
    places = sorted({*one, *other})
    shares = [(sum(v <= p for v in one) / len(one), sum(v <= p for v in other) / len(other)) for p in places]
    return max(abs(a - b) for a, b in shares)


def naive_overlap(one: Sequence[float], other: Sequence[float], bins: int) -> float:
    """Area that two histograms over both lists share; the last bin holds its upper edge."""
    low, high = min(*one, *other), max(*one, *other)
    width = (high - low) / bins

    def shares(values: Sequence[float]) -> list[float]:
        places = [min(int((value - low) / width), bins - 1) for value in values]
        return [places.count(place) / len(values) for place in range(bins)]

    return sum(min(a, b) for a, b in zip(shares(one), shares(other), strict=True))

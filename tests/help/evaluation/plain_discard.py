"""Error versus discard as its specification reads, in plain loops: what the fast code is held against.

A pair is (a, b, genuine, distance), a and b places in the list of qualities.
"""

from __future__ import annotations

import math
from typing import Any

FRACTIONS = [0.05 * k for k in range(20)]


def naive_cr_fiqa(pairs: list[Any], quality: list[float], fmr: float, reverse: bool) -> list[float]:
    """Part 1 of the specification, step by step, for (a, b, genuine, distance)."""
    ranked = sorted(pairs, key=lambda pair: min(quality[pair[0]], quality[pair[1]]))
    ranked = ranked[::-1] if reverse else ranked
    result = []
    for fraction in FRACTIONS:
        left = ranked[math.trunc(fraction * len(ranked)) :]
        genuine = [distance for *_, same, distance in left if same]
        impostor = [distance for *_, same, distance in left if not same]
        if not genuine or not impostor:
            result.append(math.nan)
            continue
        best, threshold = math.inf, math.nan
        for candidate in sorted({*genuine, *impostor}, reverse=True):
            miss = abs(sum(d <= candidate for d in impostor) / len(impostor) - fmr)
            if miss < best:
                best, threshold = miss, candidate
        result.append(1 - sum(d < threshold for d in genuine) / len(genuine))
    return result


def naive_edc(pairs: list[Any], quality: list[float], fmr: float, lower: bool) -> list[tuple[float, float]]:
    """Part 2 of the specification: (discarded fraction, error) after each group of equal quality."""
    worth = [-value for value in quality] if lower else quality
    impostor = [distance for *_, same, distance in pairs if not same]
    genuine = [(min(worth[a], worth[b]), distance) for a, b, same, distance in pairs if same]
    observed = sorted({distance for *_, distance in pairs})
    allowed = [t for t in observed if sum(d <= t for d in impostor) / len(impostor) <= fmr]
    threshold = max(allowed, default=-math.inf)
    points = []
    for limit in sorted({value for value, _ in genuine}):
        left = [distance for value, distance in genuine if value >= limit]
        errors = sum(distance > threshold for distance in left) / len(left)
        points.append((1 - len(left) / len(genuine), errors))
    return points

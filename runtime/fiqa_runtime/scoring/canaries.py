"""What a canary remembers of an output, and how far from it a device may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.errors import CardError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.system.spread import evenly

PROBES = 8
"""Most values that a canary remembers of one output."""


def probe(output: NDArray[np.floating]) -> tuple[float, ...]:
    """At most eight values, evenly spread over the flattened output of one image: what a canary remembers."""
    flat = output.reshape(-1)
    return tuple(float(v) for v in flat[evenly(PROBES, flat.size)])


def differences(
    card: Card, outputs: Callable[[Sequence[Image]], Mapping[str, NDArray[np.floating]]]
) -> dict[str, float]:
    """By output of the canaries of `card`: the largest absolute difference of what `outputs` makes of them, infinite
    where that is not a number."""
    largest: dict[str, float] = {}
    for canary in card.canaries:
        found = outputs([seeded_image(canary.index, canary.height, canary.width, canary.seed)])
        for name, values in canary.values.items():
            difference = np.abs(np.subtract(probe(found[name][0]), values))
            largest[name] = max(largest.get(name, 0.0), float(np.nan_to_num(difference, nan=np.inf).max()))
    return largest


def tolerance(card: Card) -> dict[str, float]:
    """By output name: how far canaries may be off; raises CardError where the card does not say."""
    if not card.canaries:
        raise CardError(f"the card of {card.model} has no canaries; export it with fiqa-export to get them")
    limits = dict(card.canary_tolerance)
    if not limits or any(canary.values.keys() != limits.keys() for canary in card.canaries):
        raise CardError(
            f"the card of {card.model} does not say how far each output of its canaries may be off; "
            "export it again with fiqa-export"
        )
    return limits

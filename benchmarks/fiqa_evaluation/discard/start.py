"""What fixes the threshold of a comparison before anything is discarded: an error rate that is accepted at the
start."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from fiqa_runtime.errors import InputError

from fiqa_evaluation.data_set.files import Floats

FMRS = (1e-2, 1e-3, 1e-4)
"""False match rates at which the false non-match rate is reported."""


@dataclass(frozen=True)
class Start:
    """The error rate, before anything is discarded, that fixes the threshold of a comparison."""

    by: Literal["fmr", "fnmr"]
    """`fmr`: share of impostor pairs that match. `fnmr`: share of genuine pairs that do not."""
    rate: float
    """0..1, both ends left out."""

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise InputError(f"the starting error is {self.rate:g}; give a rate between 0 and 1, such as 0.001")

    def __str__(self) -> str:
        return f"{self.by.upper()} {self.rate:g}"

    def threshold(self, genuine: Floats, impostors: Floats) -> float:
        """The distance up to which a pair matches; both lists of distances are ascending.

        By `fmr` it is the largest at which at most that share of the impostors matches. By `fnmr` it is the smallest
        genuine distance beyond which at most that share of the genuine pairs lies.
        """
        if self.by == "fmr":
            rates = np.arange(1, len(impostors) + 1) / len(impostors)
            return just_below(float(impostors[int(np.searchsorted(rates, self.rate, side="right"))]))
        beyond = (len(genuine) - np.arange(1, len(genuine) + 1)) / len(genuine)
        return float(genuine[int(np.argmax(beyond <= self.rate))])


STARTS = tuple(Start("fmr", rate) for rate in FMRS)


def just_below(distance: float) -> float:
    """The largest number below `distance`."""
    return float(np.nextafter(distance, -math.inf))

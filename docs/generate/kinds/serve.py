"""What ``fiqa-serve`` answers in JSON, beside the documents of the Open Inference Protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fiqa_runtime.artefact.spec import Precision

from docs.generate.kinds.score import ScoredFace


@dataclass(frozen=True)
class FacesAnswer:
    """The answer to a photo at `/faces`."""

    model: str
    precision: Precision
    higher_is_better: Literal[True]
    width: int
    """Pixels of the upright photo."""
    height: int
    """Pixels of the upright photo."""
    faces: tuple[ScoredFace, ...]
    """Highest confidence first; empty where there is no face."""
    left_out: str | None = None
    """Why some faces are missing."""


@dataclass(frozen=True)
class ProblemAnswer:
    """The answer to a request that is refused (RFC 9457)."""

    type: Literal["about:blank"]
    title: str
    """The words of HTTP for the status."""
    status: int
    detail: str
    """What is wrong, in one line."""
    error: str
    """As `detail`, where clients of the Open Inference Protocol look for it."""

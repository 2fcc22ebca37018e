"""A clip of a known person on disk, a detector that knows where they are, and an engine to score them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fiqa_benchmarks.watch.clips import Actor, Clip, Look, Truth, write_clip
from fiqa_benchmarks.watch.heads import Head, packaged_heads
from fiqa_runtime.errors import DependencyError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.images.preprocess import Image

WIDTH, HEIGHT = 320, 240


class TrueFaces:
    """A detector that finds what is true of each frame, in their order."""

    name = "true-faces"

    def __init__(self, truths: Sequence[Sequence[Truth]], every: int = 1) -> None:
        self._truths, self._every, self._calls = truths, every, 0

    def detect(self, image: Image) -> list[Detection]:
        truths = self._truths[min(self._calls * self._every, len(self._truths) - 1)]
        self._calls += 1
        return [truth.face for truth in truths]


def sample_heads() -> list[Head]:
    """The heads that packages bring; skips where none does."""
    try:
        return packaged_heads()
    except DependencyError as error:
        pytest.skip(str(error))


def short_clip(path: Path, seconds: float = 0.5, people: int = 1) -> list[list[Truth]]:
    """A clip of people who get sharper towards its middle; returns what is true of each frame."""
    heads = sample_heads()
    places = [0.5] if people == 1 else [0.28, 0.72]
    actors = [Actor(n % len(heads), _sharper(x)) for n, x in enumerate(places)]
    return write_clip(Clip("short", seconds, tuple(actors)), heads, path, WIDTH, HEIGHT)


def _sharper(x: float) -> Callable[[float], Look]:
    return lambda t: Look(x, 0.5, 0.6, blur=8 * abs(t - 0.5))

"""The options of ``fiqa-watch`` in groups, as the functions of this room take them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from fiqa_runtime.errors import InputError
from fiqa_runtime.terminal.options import refuse_unused

LONGEST_SIDE = 640
"""Longest side of the copy in which faces are looked for: a camera's 1080p is searched in a ninth of the time."""
EVERY = 1
"""Each frame is searched."""
MIN_SIZE = 40
"""Pixels of the shorter side of a face below which it is not scored."""
RECONNECT = 60.0
"""Seconds for which a lost source is connected to anew."""


@dataclass(frozen=True)
class StreamSettings:
    """What is watched, and for how long."""

    source: str
    raw: str | None
    """Size of raw frames on stdin."""
    max_fps: float | None
    duration: float | None
    reconnect: float


@dataclass(frozen=True)
class ShotSettings:
    """Which picture of a person is the best, and when it is told."""

    threshold: str | None
    """Score from which pictures are shown, or `stored`."""
    per_track: int
    min_size: float
    emit_after: float | None
    every: int


@dataclass(frozen=True)
class OutputSettings:
    """Where results go; None: nowhere."""

    best_shot: Path | None
    """Folder."""
    jsonl: str | None
    """A file, or `-` for stdout."""
    json: str | None
    overlay: Path | None
    """Video file."""
    show: bool
    webhook: str | None
    """Address."""
    metrics: str | None
    """Port, or host and port."""


def check_options(typed: Collection[str]) -> None:
    """Raise InputError where one of the options `typed` has no effect without another one."""
    if "--per-track" in typed and not {"--best-shot", "--jsonl", "--webhook"} & {*typed}:
        refuse_unused("a table, which shows one picture a person,", ["--per-track"])


def check_positive(**options: float | None) -> None:
    """Raise InputError for an option that is given and not above 0."""
    for name, value in options.items():
        if value is not None and not 0 < value < float("inf"):
            raise InputError(f"--{name.replace('_', '-')} is {value:g}; give a number above 0")

"""What is in the lines and in the JSON document of ``fiqa-watch``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fiqa_runtime.live import Counts, Speed, Tally


@dataclass(frozen=True)
class OtherShot:
    """A further picture of a person."""

    time: float
    """Of its frame, in seconds since the stream began."""
    frame: int
    """Index of its frame."""
    quality: float
    confidence: float
    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    file: str | None
    """Where its picture is."""


@dataclass(frozen=True)
class WatchLine:
    """One line of `--jsonl`: one event. A call of `--webhook` is the line of a `best` event with its `picture`."""

    event: Literal["started", "better", "best", "ended"]
    """`best` comes once for each track that had a face to show, when it is final."""
    track: int
    """Number of the person in this run."""
    time: float
    """In seconds since the stream began: of the picture for `better` and `best`, else when it happened."""
    frame: int
    """Index of the frame, as `time`."""
    told: float
    """Time of the stream when the event was given."""
    quality: float | None
    """Higher is better; null for `started` and `ended`."""
    confidence: float
    """The detector's score, 0 to 1."""
    box: tuple[float, float, float, float]
    """x, y of the top left corner, width, height, in pixels of the frame."""
    landmarks: tuple[tuple[float, float], ...]
    """x, y of right eye, left eye, nose tip, right and left mouth corner of the subject."""
    file: str | None
    """The picture in `--best-shot`; null where none was written."""
    others: tuple[OtherShot, ...] | None = None
    """Of `best` with `--per-track`: the further pictures, the better first; missing where there are none."""
    picture: str | None = None
    """JPEG in base64, in calls of `--webhook` alone."""


@dataclass(frozen=True)
class WatchSettings:
    """How faces were found, and how pictures were chosen."""

    detector: str
    align: str
    threshold: float | None
    top: int
    """Pictures of each person."""
    emit_after: float | None
    every: int
    floors: Mapping[str, float]
    """What a face needs to be scored."""
    economy: Mapping[str, float]
    """When a person is scored again."""
    min_confidence: float | None = None
    longest_side: int | None = None
    preset: str | None = None


@dataclass(frozen=True)
class Watch:
    """What `fiqa-watch --json` writes at the end of a stream."""

    source: str
    """An address without its password."""
    engine: str
    model: str
    backend: str
    settings: WatchSettings
    frames: Counts
    work: Tally
    speed: Speed
    lost: Mapping[str, Any]
    """What could not be written, by kind."""

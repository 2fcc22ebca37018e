"""What is in the JSON documents of ``fiqa-bench``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fiqa_benchmarks.watch.bench import WatchResult
from fiqa_runtime.artefact.spec import Precision


@dataclass(frozen=True)
class Times:
    """One step, over all rounds."""

    median_ms: float
    p95_ms: float
    p99_ms: float
    images_per_second: float
    samples: int


@dataclass(frozen=True)
class TimeRatio:
    """Time of one step divided by another's, within each round."""

    median: float
    low: float
    """First quartile over the rounds."""
    high: float
    """Third quartile over the rounds."""


@dataclass(frozen=True)
class OutputDifference:
    """How far a contender is from the first one."""

    max_abs: Mapping[str, float]
    """By output."""
    score: Mapping[str, Any] | None
    """Agreement of the scores; null for networks without a score."""


@dataclass(frozen=True)
class BatchTimes:
    """One contender at one batch size."""

    network: Times
    """The bare backend call."""
    end_to_end: Times
    """From crops to scores."""
    rounds: int
    overhead: TimeRatio
    """`end_to_end` divided by `network`."""
    peak_resident_bytes: int
    """Of a process of its own."""
    difference: OutputDifference | None


@dataclass(frozen=True)
class ContenderTimes:
    """One engine, or one of its peers; only `name`, `engine` and `error` where it did not run."""

    name: str
    engine: str
    error: str | None = None
    model: str | None = None
    precision: Precision | None = None
    weights: str | None = None
    backend: Mapping[str, str] | None = None
    load_ms: float | None = None
    files: Mapping[str, str] | None = None
    """SHA-256 by name."""
    file_bytes: int | None = None
    scores: Mapping[str, float] | None = None
    """By the hash of an image's pixels."""
    batches: Mapping[str, BatchTimes] | None = None
    """By batch size."""


@dataclass(frozen=True)
class GateCheck:
    """One budget."""

    budget: str
    limit: float
    value: float | None
    """Null where it could not be measured."""
    note: str
    passed: bool


@dataclass(frozen=True)
class GateVerdict:
    """An engine against an earlier run."""

    engine: str
    baseline: str
    checks: tuple[GateCheck, ...]


@dataclass(frozen=True)
class ImageSource:
    """What was scored."""

    source: str
    """A folder, or `seeded`."""
    count: int


@dataclass(frozen=True)
class BenchSettings:
    """How speed was measured."""

    batches: tuple[int, ...]
    threads: int | None
    images: ImageSource


@dataclass(frozen=True)
class Benchmark:
    """Speed and agreement."""

    versions: Mapping[str, str]
    machine: Mapping[str, Any] | None = None
    settings: BenchSettings | None = None
    contenders: tuple[ContenderTimes, ...] | None = None
    """The first is what the others are compared with."""
    ratios: Mapping[str, Mapping[str, Mapping[str, TimeRatio]]] | None = None
    """By contender, batch size and step: time divided by the first one's."""
    roofline: Mapping[str, Any] | None = None
    """With `--roofline`: operations per second of matrix products here, and what each network reaches."""
    gate: GateVerdict | None = None
    """With `--baseline`."""


@dataclass(frozen=True)
class PhotoTimes:
    """Our flow and that of OpenCV Zoo's demo on the same photos."""

    photos: int
    faces: int
    demo_faces: int
    timings: Mapping[str, Times]
    ratio: TimeRatio
    """Time of the demo's flow divided by ours."""
    box_difference: float | None
    """Pixels; null where the flows found different numbers of faces."""
    score_difference: float | None
    backend: Mapping[str, str]
    detector: str
    streams: int


@dataclass(frozen=True)
class PhotoBenchmark:
    """The whole way from photos to scored faces."""

    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    pipeline: PhotoTimes


@dataclass(frozen=True)
class Watched:
    """What `--watch` writes."""

    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    watch: WatchResult

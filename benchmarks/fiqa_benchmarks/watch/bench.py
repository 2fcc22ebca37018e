"""``fiqa-bench --watch``: how much a way of watching loses, and how fast it is."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fiqa_runtime.faces.detector import LONGEST, Detector
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.live import BestShots, Economy, Frame, Frames, Meter, watch_staged
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.progress import Report, silent
from numpy.typing import NDArray

from fiqa_benchmarks.watch.clips import RATE, crowd, make_clips, write_clip
from fiqa_benchmarks.watch.heads import Head
from fiqa_benchmarks.watch.judge import Verdict, Way, frame_qualities, judge

ALL = Economy(refresh=0)
WAYS = (
    Way("every face of every frame", LONGEST, 1, ALL),
    Way("fiqa-watch", 640, 1, Economy()),
    Way("fiqa-watch --every 2", 640, 2, Economy()),
    Way("fiqa-watch --every 3", 640, 3, Economy()),
)
"""The first one is what the others are held against; the second has the default settings."""
NEAR = 0.01
"""A shot whose quality is so near to the best frame's counts as good as it."""
CLIP_SIZE = 1280, 720
CROWD_SIZE = 1920, 1080
PEOPLE = 6
AHEAD = 4


@dataclass(frozen=True)
class Loss:
    """What a way of watching costs in quality, over all clips."""

    tracks: int
    wrong_finals: int
    """Tracks that were not told to start, to be best and to end once each."""
    events_per_track: float
    visits: int
    """Comings of a person, in truth."""
    missed: int
    """Visits without a best shot."""
    split: int
    """Visits with more than one track."""
    switches: int
    """Times when a track went over to another person."""
    near: float
    """Share of the visits whose best shot is at most 0.01 below the best of every face of every frame, searched at the
    same size."""
    median: float
    """Of that best minus the best shot, over the visits."""
    p95: float
    near_full: float
    """The same share, against every frame searched at full resolution."""
    median_full: float
    p95_full: float
    scored: float
    """Share of the faces that were scored."""


@dataclass(frozen=True)
class Pace:
    """How fast a way of watching is on the crowd."""

    fps: float
    """Median over the rounds, frames read from a file as fast as it goes."""
    fps_low: float
    fps_high: float
    cpu_ms: float
    """Processor time for a frame, median over the rounds."""
    scored: float
    """Share of the faces that were scored."""


@dataclass(frozen=True)
class Latency:
    """From a frame's arrival to its events where frames come at 30 a second, default settings."""

    frames: int
    dropped: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class WatchResult:
    """Everything that was measured."""

    clips: int
    heads: int
    losses: dict[str, Loss]
    """By way."""
    crowd: str
    paces: dict[str, Pace]
    latency: Latency
    rounds: int
    backend: str
    detector: str

    def as_json(self) -> dict[str, Any]:
        """Plain data for the document."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """For people."""
        yield f"Best shots of {self.clips} clips with {self.heads} heads, {CLIP_SIZE[0]} x {CLIP_SIZE[1]}:"
        for name, loss in self.losses.items():
            yield (
                f"  {name}: {loss.near:.0%} of {loss.visits} visits within {NEAR} of the best, "
                f"loss median {loss.median:.4f} p95 {loss.p95:.4f} (searched at full resolution: {loss.near_full:.0%}, "
                f"median {loss.median_full:.4f} p95 {loss.p95_full:.4f}); {loss.missed} missed, {loss.split} split, "
                f"{loss.switches} switches, {loss.wrong_finals} of {loss.tracks} tracks without their one end, "
                f"{loss.events_per_track:.1f} events a track, {loss.scored:.0%} of the faces scored"
            )
        yield f"Speed, {self.crowd}, {self.backend} and {self.detector}, {self.rounds} rounds:"
        for name, pace in self.paces.items():
            yield (
                f"  {name}: {pace.fps:.1f} fps ({pace.fps_low:.1f} to {pace.fps_high:.1f}), "
                f"{pace.cpu_ms:.1f} ms of processor time a frame, {pace.scored:.0%} of the faces scored"
            )
        last = self.latency
        if last.p50_ms is not None:
            yield (
                f"From frame to event at {RATE} fps: p50 {last.p50_ms:.0f} ms, p95 {last.p95_ms:.0f} ms, "
                f"p99 {last.p99_ms:.0f} ms, {last.dropped} of {last.frames} frames dropped"
            )


def bench_watch(
    scorer: Scorer,
    detector: Path,
    heads: Sequence[Head],
    threads: int,
    rounds: int,
    report: Report = silent,
    device: str | None = None,
) -> WatchResult:
    """Watch clips with every head in every way, then a crowd of six as fast as it goes and at 30 frames a second.

    Faces are found on `device`; None is the processor.
    """
    cv2.setNumThreads(threads)
    sizes = sorted({way.longest for way in WAYS})
    finders = {n: Detector(detector, longest=n, threads=threads, device=device) for n in sizes}
    qualities = {n: FaceQuality(scorer, finder) for n, finder in finders.items()}
    with tempfile.TemporaryDirectory(prefix="fiqa-bench-") as name:
        folder = Path(name)
        verdicts = _lose(qualities, heads, folder / "clip.avi", report)
        path = folder / "crowd.mp4"
        write_clip(crowd(len(heads), PEOPLE), heads, path, *CROWD_SIZE, codec="mp4v")
        paces = _time(qualities, path, rounds, report)
        latency = _wait(qualities[WAYS[1].longest], path)
    clips = len(make_clips(len(heads)))
    where = f"{PEOPLE} people at {CROWD_SIZE[0]} x {CROWD_SIZE[1]}"
    losses = {name: _loss(verdict) for name, verdict in verdicts.items()}
    engine = finders[WAYS[1].longest].engine
    return WatchResult(clips, len(heads), losses, where, paces, latency, rounds, scorer.backend.name, engine)


def _lose(qualities: dict[int, FaceQuality], heads: Sequence[Head], path: Path, report: Report) -> dict[str, Verdict]:
    verdicts = {way.name: Verdict() for way in WAYS}
    clips = make_clips(len(heads))
    for done, clip in enumerate(clips):
        report("clips", done, len(clips))
        truths = write_clip(clip, heads, path, *CLIP_SIZE)
        every = {n: frame_qualities(path, truths, quality) for n, quality in qualities.items()}
        for way in WAYS:
            full = every[WAYS[0].longest]
            judge(path, truths, every[way.longest], full, way, qualities[way.longest], verdicts[way.name])
    report("clips", len(clips), len(clips))
    return verdicts


def _loss(verdict: Verdict) -> Loss:
    losses, full = (np.array(values or [np.inf]) for values in (verdict.losses, verdict.full_losses))
    return Loss(
        *(verdict.tracks, verdict.wrong_finals, verdict.events / max(verdict.tracks, 1), verdict.visits),
        *(verdict.missed, verdict.split, verdict.switches),
        *_spread(losses, verdict.visits),
        *_spread(full, verdict.visits),
        verdict.scored / max(verdict.faces, 1),
    )


def _spread(losses: NDArray[np.float64], visits: int) -> tuple[float, float, float]:
    """Share of the visits that are near, median, 95 %."""
    return (
        float((losses <= NEAR).sum()) / max(visits, 1),
        float(np.median(losses)),
        float(np.percentile(losses, 95)),
    )


def _time(qualities: dict[int, FaceQuality], path: Path, rounds: int, report: Report) -> dict[str, Pace]:
    """Every way in turn, in each of the rounds, with a thread for each stage."""
    measured: dict[str, list[tuple[float, float, float]]] = {way.name: [] for way in WAYS}
    for done in range(rounds):
        report("rounds over the crowd", done, rounds)
        for way in WAYS:
            shots = BestShots(qualities[way.longest], every=way.every, economy=way.economy)
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in watch_staged(shots, Frames(path), ahead=AHEAD):
                pass
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            tally = shots.tally
            measured[way.name].append((tally.frames / wall, 1000 * cpu / tally.frames, tally.scored / tally.faces))
    report("rounds over the crowd", rounds, rounds)
    return {
        name: Pace(
            *(float(np.median([one[0] for one in many])), min(one[0] for one in many), max(one[0] for one in many)),
            *(float(np.median([one[1] for one in many])), many[0][2]),
        )
        for name, many in measured.items()
    }


def _wait(quality: FaceQuality, path: Path) -> Latency:
    """Frames of the crowd as a camera gives them: at 30 a second, and the newest where the one before was late."""
    frames = list(Frames(path))
    shots, meter = BestShots(quality), Meter()
    given = 0

    def camera() -> Iterator[Frame]:
        nonlocal given
        begin = time.monotonic()
        last = -1
        while last < len(frames) - 1:
            due = min(int((time.monotonic() - begin) * RATE), len(frames) - 1)
            if due == last:
                time.sleep(max(begin + (last + 1) / RATE - time.monotonic(), 0))
                continue
            last = due
            given += 1
            yield replace(frames[due], arrived=begin + due / RATE)

    for _ in watch_staged(shots, camera(), meter, ahead=0):
        pass
    speed = meter.speed()
    return Latency(len(frames), len(frames) - given, speed.p50, speed.p95, speed.p99)

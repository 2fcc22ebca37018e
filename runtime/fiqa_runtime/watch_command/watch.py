"""A stream from its first frame to its last line, as ``fiqa-watch`` does it once its options are read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any

from fiqa_runtime.command.settings import EngineSettings, FaceSettings
from fiqa_runtime.command.threshold import read_threshold
from fiqa_runtime.errors import FiqaError, InputError, UnsupportedError
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.images.framing import frame_of
from fiqa_runtime.live import BestShots, Event, Floors, Frame, Frames, IouTracker, Meter, find_source, watch_staged
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.stopping import stopping
from fiqa_runtime.terminal.console import detail, tell
from fiqa_runtime.terminal.outputs import write_json
from fiqa_runtime.watch_command.lines import JsonLines, Table, line_of
from fiqa_runtime.watch_command.losses import Losses
from fiqa_runtime.watch_command.metrics import Metrics
from fiqa_runtime.watch_command.pictures import Pictures
from fiqa_runtime.watch_command.pixels import OverlayVideo, Window, draw_people
from fiqa_runtime.watch_command.report import Report
from fiqa_runtime.watch_command.settings import OutputSettings, ShotSettings, StreamSettings
from fiqa_runtime.watch_command.webhook import Webhook

HEALTH = 10.0
"""Seconds between two lines of health for a person who asked for more."""
AHEAD = 4
"""Frames of a file that may wait between two stages; of a live source none, since waiting is latency."""


@dataclass
class Outputs:
    """Everything that events and frames go to."""

    losses: Losses
    table: Table | None = None
    lines: JsonLines | None = None
    pictures: Pictures | None = None
    webhook: Webhook | None = None
    video: OverlayVideo | None = None
    window: Window | None = None

    def take(self, event: Event) -> None:
        """One event."""
        files = self.pictures.write(event) if self.pictures else []
        line = line_of(event, files)
        if self.lines:
            self.lines.write(line)
        if self.table:
            self.table.write(event, files)
        if self.webhook and event.kind == "best":
            self.webhook.send(line, event.picture)

    def show(self, frame: Frame, shots: BestShots) -> bool:
        """One frame; False once a person has closed the window."""
        if self.video is None and self.window is None:
            return True
        picture = draw_people(frame.image, shots.people())
        if self.video:
            self.video.write(picture)
        return self.window is None or self.window.show(picture)

    def close(self) -> None:
        """Finish what is open; waits for the webhook for some seconds."""
        for each in (self.lines, self.video, self.window, self.webhook):
            if each:
                each.close()


def watch_stream(
    stream: StreamSettings, engine: EngineSettings, faces: FaceSettings, chosen: ShotSettings, wanted: OutputSettings
) -> None:
    """Watch `stream` until its end, a signal, or `q` in the window; what happened is told on stderr.

    Raises what opening raises, InputError where a live source is gone, and where the stream had no frame at all.
    """
    source = find_source(stream.source, stream.raw)
    with ExitStack() as stack:
        scorer = stack.enter_context(engine.open())
        threshold = None if chosen.threshold is None else read_threshold(chosen.threshold, scorer.path)
        shots = _shots(scorer, engine, faces, chosen, threshold)
        frames = stack.enter_context(
            Frames(
                source,
                give_up=stream.reconnect,
                max_fps=stream.max_fps,
                duration=stream.duration,
                tell=lambda line: tell([line]),
            )
        )
        losses, meter = Losses(), Meter()
        report = partial(_report, frames, shots, meter, losses)
        out = stack.enter_context(_outputs(wanted, frames, threshold, losses))
        if wanted.metrics is not None:
            server = Metrics(wanted.metrics, report)
            stack.callback(server.close)
            detail(f"metrics on port {server.port}, /metrics")
        failed = _watch(frames, shots, meter, out, report)
    _conclude(report(), out, wanted, source.name, shots, scorer)
    if failed:
        raise failed
    if not frames.counts.read and not frames.stopped:
        raise InputError(f"{source.name} had no frame that could be read; play it with ffplay, or name another source")


def _watch(frames: Frames, shots: BestShots, meter: Meter, out: Outputs, report: partial[Report]) -> FiqaError | None:
    """Hand everything to `out` until the stream ends; returns what ended it before its time."""
    next_line = time.monotonic() + HEALTH
    try:
        with stopping(frames.stop):
            ahead = 0 if frames.source.live else AHEAD
            for frame, events in watch_staged(shots, frames, meter, ahead):
                for event in events:
                    out.take(event)
                if frame is not None and not out.show(frame, shots):
                    frames.stop()
                if time.monotonic() >= next_line:
                    next_line = time.monotonic() + HEALTH
                    detail(report().health())
    except FiqaError as error:
        return error
    return None


def _shots(
    scorer: Scorer, engine: EngineSettings, faces: FaceSettings, chosen: ShotSettings, threshold: float | None
) -> BestShots:
    if not scorer.has_score:
        raise InputError(f"{scorer.card.model} gives no quality scores; name an artefact of a quality network")
    if frame_of(scorer.card.input).landmarks == 68:
        raise UnsupportedError(f"{scorer.card.model} takes seconds for each face; for streams use ediffiqa-t")
    detector = faces.open_detector(engine, scorer)
    detail(f"faces found by {getattr(detector, 'name', 'MTCNN')} in {getattr(detector, 'engine', 'its own way')}")
    asked = faces.min_confidence
    floors = Floors(size=chosen.min_size, confidence=Floors().confidence if asked is None else asked)
    tracker = IouTracker() if asked is None else IouTracker(confidence=asked)
    quality = FaceQuality(scorer, detector, faces.align)
    return BestShots(
        *(quality, tracker, threshold, chosen.per_track),
        emit_after=chosen.emit_after,
        every=chosen.every,
        floors=floors,
    )


@contextmanager
def _outputs(wanted: OutputSettings, frames: Frames, threshold: float | None, losses: Losses) -> Iterator[Outputs]:
    out = Outputs(losses)
    try:
        if wanted.best_shot is not None:
            out.pictures = Pictures(wanted.best_shot, frames.source, losses)
        if wanted.overlay is not None:
            out.video = OverlayVideo(wanted.overlay, frames.rate)
        if wanted.show:
            out.window = Window()
        if wanted.jsonl is not None:
            out.lines = JsonLines(wanted.jsonl, losses)
        if "-" not in (wanted.jsonl, wanted.json):
            out.table = Table(threshold)
        if wanted.webhook is not None:
            out.webhook = Webhook(wanted.webhook, losses)
        yield out
    finally:
        out.close()


def _report(frames: Frames, shots: BestShots, meter: Meter, losses: Losses) -> Report:
    """How the stream is doing now."""
    return Report(copy(frames.counts), copy(shots.tally), meter.speed(), shots.here, dict(losses.counts))


def _conclude(
    report: Report, out: Outputs, wanted: OutputSettings, name: str, shots: BestShots, scorer: Scorer
) -> None:
    tell(report.lines())
    if out.pictures:
        tell([f"wrote {out.pictures.written} pictures to {wanted.best_shot}"])
    if out.webhook:
        tell([f"sent {out.webhook.sent} calls to the webhook"])
    tell(out.losses.lines())
    if wanted.json:
        settings: dict[str, Any] = shots.quality.settings
        document = {
            "source": name,
            "engine": str(scorer.path),
            "model": scorer.card.model,
            "backend": scorer.backend.name,
            "settings": {**settings, **shots.settings},
            **report.as_json(),
        }
        write_json(document, wanted.json, "fiqa-watch.v1")

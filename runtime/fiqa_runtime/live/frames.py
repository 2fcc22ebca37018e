"""The frames of a file, a camera, an address, a pipeline or stdin, one after the other."""

from __future__ import annotations

import math
import time as clock
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from fiqa_runtime.errors import InputError
from fiqa_runtime.live.capture import Capture, open_capture
from fiqa_runtime.live.frame import Clock, Frame, Pace, as_bgr
from fiqa_runtime.live.reader import Arrival, Counts, Patience, Reader, Tell
from fiqa_runtime.live.source import Source, find_source

MOST_TRIES = 256
"""Frames in a row that a file may fail to give before it counts as ended."""
CUT_SHORT = 0.95
"""A file that gives a smaller share of the frames that it promises is told to be cut short."""


class Frames:
    """Iterates over the frames of a source, once.

        for frame in Frames("clip.mp4"):        # or 0, "rtsp://...", a GStreamer pipeline
            frame.image                         # uint8 BGR (H, W, 3)

    Every frame of a file is given. Of a live source, which a thread reads, only the newest: a frame that comes while
    the one before is worked on takes its place, and `counts.dropped` goes up. Frames that cannot be decoded are
    counted. A live source that ends or is silent for `stall` seconds is connected to anew, with waits that grow, for up
    to `give_up` seconds; with 0 its end is the end. Grey and four-channel frames become BGR, and the resolution may
    change.

    `raw`: size of raw frames on stdin, as ``1280x720@30``. `max_fps`: frames that come faster are left out.
    `duration`: seconds after which the stream is over. `tell` is given a line where something happens to the source.

    The constructor raises InputError or UnsupportedError for a source that cannot be opened; iterating raises
    InputError where a live source is silent for `give_up` seconds.
    """

    def __init__(
        self,
        source: str | int | Path | Source,
        *,
        raw: str | None = None,
        stall: float = 10.0,
        give_up: float = 60.0,
        max_fps: float | None = None,
        duration: float | None = None,
        tell: Tell | None = None,
    ) -> None:
        for name, value in (("stall", stall), ("max_fps", max_fps), ("duration", duration)):
            if value is not None and not (value > 0 and math.isfinite(value)):
                raise InputError(f"{name} is {value}; give a number above 0")
        if not (give_up >= 0 and math.isfinite(give_up)):
            raise InputError(f"give_up is {give_up}; give the seconds after which a silent source is gone, or 0")
        self.source = source if isinstance(source, Source) else find_source(str(source), raw)
        self.counts = Counts()
        self._max_fps, self._duration, self._tell = max_fps, duration, tell or _nobody
        self.stopped = False
        """Whether :meth:`stop` was called."""
        open_source = partial(open_capture, self.source, stall)
        self._reader: Reader | None = None
        self._capture: Capture | None = None
        if self.source.live or self.source.kind == "raw":
            patience = Patience(stall, give_up, newest=self.source.live)
            self._reader = Reader(open_source, self.source.name, self.counts, patience, self._tell)
        else:
            self._capture = open_source()

    def __iter__(self) -> Iterator[Frame]:
        times, pace, first, size = Clock(), Pace(self._max_fps), None, None
        try:
            for arrival in self._live() if self._reader else self._filed():
                time = times.next(arrival.stamp)
                self.counts.mended = times.mended
                first = time if first is None else first
                if self._duration is not None and time - first >= self._duration:
                    break
                if not pace.lets_by(time):
                    self.counts.skipped += 1
                    continue
                frame = Frame(arrival.index, time, arrival.image, arrival.arrived)
                self._check_size(size, frame.size)
                size = frame.size
                self.counts.read += 1
                yield frame
        finally:
            self.close()

    @property
    def rate(self) -> float:
        """Frames in a second that are given, as far as the source says; 30 where it does not."""
        own = self.source.raw.rate if self.source.raw else self._capture.rate if self._capture else 0.0
        own = own if 1 <= own <= 1000 else 30.0
        return own if self._max_fps is None else min(own, self._max_fps)

    def stop(self) -> None:
        """End the stream after the frame that is worked on; any thread may call it."""
        self.stopped = True
        if self._reader:
            self._reader.stop()

    def close(self) -> None:
        """Free the source."""
        if self._reader:
            self._reader.close()
        if self._capture:
            self._capture.close()
            self._capture = None

    def __enter__(self) -> Frames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _live(self) -> Iterator[Arrival]:
        """Arrivals from the thread; a live source's time is the clock's."""
        start: float | None = None
        while self._reader:
            deadline = None
            if self._duration is not None and self.source.live:
                deadline = (clock.monotonic() if start is None else start) + self._duration
            arrival = self._reader.take(deadline)
            if arrival is None:
                return
            start = arrival.arrived if start is None else start
            stamp = arrival.arrived - start if self.source.live else arrival.stamp
            yield Arrival(arrival.index, stamp, arrival.arrived, arrival.image)

    def _filed(self) -> Iterator[Arrival]:
        """Arrivals of a file, every one, read when they are asked for."""
        if self._capture is None:
            return
        index, failed, promised = 0, 0, self._capture.promised
        while not self.stopped and self._capture:
            if not self._capture.grab():
                failed += 1
                if failed > MOST_TRIES or index + failed > promised:
                    break
                continue
            self.counts.unreadable += failed
            index, failed = index + failed, 0
            arrived, stamp = clock.monotonic(), self._capture.time()
            try:
                image = as_bgr(self._capture.retrieve())
            except InputError:
                self.counts.unreadable += 1
            else:
                yield Arrival(index, stamp, arrived, image)
            index += 1
        if not index:
            self._tell(f"{self.source.name} has no frame that can be read")
        elif not self.stopped and index < CUT_SHORT * promised:
            self._tell(f"{self.source.name} ends after {index} of {promised} frames; was it cut short?")

    def _check_size(self, before: tuple[int, int] | None, now: tuple[int, int]) -> None:
        if before is not None and before != now:
            self.counts.resized += 1
            self._tell(f"the resolution changes from {before[0]} x {before[1]} to {now[0]} x {now[1]}")


def _nobody(line: str) -> None:
    """Tells nobody."""

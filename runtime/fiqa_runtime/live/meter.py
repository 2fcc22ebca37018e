"""How a stream keeps up: frames a second, and the time from a frame's arrival to its events."""

from __future__ import annotations

import time as clock
from collections import deque
from dataclasses import dataclass
from threading import Lock

import numpy as np

from fiqa_runtime.live.frame import Frame

LAST = 2048
"""Frames that the percentiles look back on, so that memory stays flat."""


@dataclass(frozen=True)
class Speed:
    """How fast the stream is worked on."""

    frames: int
    """In all."""
    fps: float
    """Frames in a second, from the first to the last."""
    p50: float | None
    """Milliseconds from frame to events: half of the last :data:`LAST` frames took at most so long. None before the
    first one."""
    p95: float | None
    p99: float | None


class Meter:
    """Is told of every frame that is done; any thread may read it."""

    def __init__(self) -> None:
        self._waits: deque[float] = deque(maxlen=LAST)
        self._frames = 0
        self._first = self._last = 0.0
        self._lock = Lock()

    def done(self, frame: Frame) -> None:
        """The events of `frame` are known now."""
        now = clock.monotonic()
        with self._lock:
            self._first = self._first if self._frames else frame.arrived
            self._last = now
            self._frames += 1
            self._waits.append(now - frame.arrived)

    def speed(self) -> Speed:
        """What was measured so far."""
        with self._lock:
            waits, frames, seconds = list(self._waits), self._frames, self._last - self._first
        if not frames:
            return Speed(0, 0.0, None, None, None)
        p50, p95, p99 = (float(value) * 1000 for value in np.percentile(waits, (50, 95, 99)))
        return Speed(frames, frames / seconds if seconds > 0 else 0.0, p50, p95, p99)

"""Reads a source that does not wait on a thread of its own, and makes a lost connection anew."""

from __future__ import annotations

import threading
import time as clock
from collections.abc import Callable
from dataclasses import dataclass

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.live.capture import Capture
from fiqa_runtime.live.frame import as_bgr

FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
"""Seconds before a lost connection is made anew: the first time, and at most; each wait is twice the one before."""
Tell = Callable[[str], None]


@dataclass
class Counts:
    """What became of the frames of a source."""

    read: int = 0
    """Given to whoever asked for frames."""
    unreadable: int = 0
    """Could not be decoded, or were no pictures."""
    dropped: int = 0
    """Came while the one before was worked on, and were replaced by newer ones."""
    skipped: int = 0
    """Left out because of the most frames per second."""
    mended: int = 0
    """Time stamps that ran back or stood still."""
    resized: int = 0
    """Changes of the resolution."""
    reconnects: int = 0
    stalls: int = 0
    """Times when nothing came for so long that it was told."""


@dataclass(frozen=True)
class Arrival:
    """A picture as it was read."""

    index: int
    stamp: float
    """The source's own time stamp in seconds, or NaN."""
    arrived: float
    """On the monotonic clock."""
    image: Image


class Patience:
    """How long a source may be silent."""

    def __init__(self, stall: float, give_up: float, newest: bool) -> None:
        self.stall = stall
        """Seconds without a frame after which that is told, and the connection is made anew."""
        self.give_up = give_up
        """Seconds without a frame after which the source counts as gone; 0: as soon as it ends."""
        self.newest = newest
        """Whether a frame that nobody has taken is replaced by a newer one; else reading waits."""


class Reader:
    """One thread that reads `open_source()`, and one place for the frame that is taken next.

    A thread that hangs in a read is left alone where nothing came for `patience.stall` seconds, and another one takes
    over: reads of OpenCV cannot be broken off.
    """

    def __init__(
        self, open_source: Callable[[], Capture], name: str, counts: Counts, patience: Patience, tell: Tell
    ) -> None:
        """Opens the source, and raises InputError where that is not possible."""
        self._open, self._name, self._counts, self._patience, self._tell = open_source, name, counts, patience, tell
        self._changed = threading.Condition()
        self._waiting: Arrival | None = None
        self._ended = False
        self._stopped = False
        self._index = 0
        self._last = clock.monotonic()
        self._reads: object = None
        self._in_read = False
        self._start(open_source())

    def take(self, deadline: float | None = None) -> Arrival | None:
        """The next frame; None at the end, and where `deadline` on the monotonic clock is over.

        Raises InputError where no frame came for as long as the patience lasts.
        """
        told = self._last
        while True:
            with self._changed:
                now = clock.monotonic()
                if self._waiting is not None:
                    arrival, self._waiting = self._waiting, None
                    self._changed.notify_all()
                    return arrival
                if self._ended or self._stopped or (deadline is not None and now >= deadline):
                    return None
                told = max(told, self._last)
                if now - told >= self._patience.stall:
                    told = now
                    self._stalled(now - self._last)
                ends = [told + self._patience.stall, *([] if deadline is None else [deadline])]
                self._changed.wait(max(min(ends) - now, 0.001))

    def stop(self) -> None:
        """End the reading; :meth:`take` gives None from now on."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def close(self, seconds: float = 5.0) -> None:
        """Stop, and wait for the thread: Python may not end while it is inside OpenCV. One that hangs is left."""
        self.stop()
        if threading.current_thread() is not self._thread:
            self._thread.join(seconds)

    def _stalled(self, silent: float) -> None:
        self._counts.stalls += 1
        self._check(silent)
        if not self._patience.newest or not self._in_read:
            self._tell(f"{self._name} has sent nothing for {silent:.0f} s; waiting")
            return
        self._tell(f"{self._name} has sent nothing for {silent:.0f} s; connecting anew")
        self._in_read = False
        self._start(None)

    def _check(self, silent: float) -> None:
        if self._patience.newest and silent >= self._patience.give_up:
            raise InputError(f"{self._name} has sent no frame for {silent:.0f} s; check the camera and the network")

    def _start(self, capture: Capture | None) -> None:
        self._reads = mark = object()
        self._thread = threading.Thread(target=self._run, args=(mark, capture), name="fiqa-reader", daemon=True)
        self._thread.start()

    def _mine(self, mark: object) -> bool:
        return self._reads is mark and not self._stopped

    def _run(self, mark: object, capture: Capture | None) -> None:
        try:
            wait = FIRST_WAIT
            while self._mine(mark):
                if capture is None:
                    capture = self._connect()
                if capture is not None:
                    before = self._index
                    self._drain(mark, capture)
                    capture.close()
                    capture = None
                    wait = FIRST_WAIT if self._index > before else wait
                if not self._patience.newest or not self._patience.give_up or not self._mine(mark):
                    break
                self._tell(f"{self._name} has ended or is lost; connecting anew in {wait:.1f} s")
                with self._changed:
                    self._changed.wait_for(lambda: not self._mine(mark), wait)
                wait = min(2 * wait, LONGEST_WAIT)
        finally:
            with self._changed:
                if self._reads is mark:
                    self._ended = True
                    self._changed.notify_all()

    def _connect(self) -> Capture | None:
        try:
            capture = self._open()
        except InputError:
            return None
        self._counts.reconnects += 1
        return capture

    def _drain(self, mark: object, capture: Capture) -> None:
        """Read until there is no next frame."""
        while self._mine(mark):
            self._in_read = True
            grabbed = capture.grab()
            if not self._mine(mark):
                return
            self._in_read = False
            if not grabbed:
                return
            arrived, picture = clock.monotonic(), capture.retrieve()
            index, self._index = self._index, self._index + 1
            try:
                image = as_bgr(picture)
            except InputError:
                self._counts.unreadable += 1
                continue
            with self._changed:
                if not self._patience.newest:
                    self._changed.wait_for(lambda: self._waiting is None or not self._mine(mark))
                if not self._mine(mark):
                    return
                self._counts.dropped += self._waiting is not None
                self._waiting = Arrival(index, capture.time(), arrived, image)
                self._last = arrived
                self._changed.notify_all()

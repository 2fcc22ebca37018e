"""Reading, searching and scoring at the same time: a thread for each, with short queues between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from queue import Empty, Full, Queue
from threading import Event as Signal
from threading import Thread
from typing import Any, TypeVar

from fiqa_runtime.errors import FiqaError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.live.best_shots import BestShots
from fiqa_runtime.live.events import Event
from fiqa_runtime.live.frame import Frame
from fiqa_runtime.live.meter import Meter

T = TypeVar("T")
U = TypeVar("U")
LOOK = 0.1
"""Seconds between two looks whether the work was called off."""
LAST_ITEM = 5.0
"""Seconds for which the end waits for a thread: Python may not end while one is inside a library. One that hangs is
left."""
_END = object()


def staged(items: Iterable[T], work: Callable[[T], U], ahead: int = 1) -> Iterator[U]:
    """`work` of every item, in order: one thread draws the items, one works, the caller uses the results.

    At most `ahead` items wait in front of the work, and as many results behind it: who is slower holds up who is
    faster. With 0 the thread that works draws its items too, so that none waits, and one result does. What `items` or
    `work` raise is raised in the place of its result. Where the caller stops early, the threads end with what they are
    at.
    """
    drawn: Queue[Any] = Queue(max(ahead, 1))
    results: Queue[Any] = Queue(max(ahead, 1))
    stop = Signal()

    def draw() -> None:
        _pass_on(items, drawn, stop)

    def run() -> None:
        _pass_on(map(work, _taken(drawn, stop) if ahead else items), results, stop)

    targets = (draw, run) if ahead else (run,)
    threads = [Thread(target=target, name=f"fiqa-{target.__name__}", daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    try:
        yield from _taken(results, stop)
    finally:
        stop.set()
        for thread in threads:
            thread.join(LAST_ITEM)


def watch_staged(
    shots: BestShots, frames: Iterable[Frame], meter: Meter | None = None, ahead: int = 1
) -> Iterator[tuple[Frame | None, list[Event]]]:
    """:meth:`BestShots.watch` with a thread that reads and one that searches, while the caller's scores.

    Yields every frame with its events, and at the end None with those of the people who were still there. `ahead` is
    that of :func:`staged`: more of it evens out bursts, and adds to the time from frame to event; 0 is for a live
    source, which has a thread that reads already. `meter` is told of
    every frame. Raises what `frames` raises, after the open tracks are finished.
    """

    def search(frame: Frame) -> tuple[Frame, list[Detection] | None]:
        return frame, shots.find(frame)

    try:
        for frame, faces in staged(frames, search, ahead):
            events = shots.take(frame, faces)
            if meter:
                meter.done(frame)
            yield frame, events
    except FiqaError:
        yield None, shots.finish()
        raise
    yield None, shots.finish()


class _Raised:
    """What a thread raised, on its way to the caller."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _pass_on(items: Iterable[Any], queue: Queue[Any], stop: Signal) -> None:
    """Put `items` into `queue`, then the end or what stopped them."""
    try:
        for item in items:
            if not _put(queue, item, stop):
                return
        _put(queue, _END, stop)
    except BaseException as error:
        _put(queue, _Raised(error), stop)


def _put(queue: Queue[Any], item: Any, stop: Signal) -> bool:
    while not stop.is_set():
        try:
            queue.put(item, timeout=LOOK)
            return True
        except Full:
            continue
    return False


def _taken(queue: Queue[Any], stop: Signal) -> Iterator[Any]:
    while not stop.is_set():
        try:
            item = queue.get(timeout=LOOK)
        except Empty:
            continue
        if item is _END:
            return
        if isinstance(item, _Raised):
            raise item.error
        yield item

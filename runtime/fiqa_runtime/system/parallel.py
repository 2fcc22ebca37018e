"""Several items at once, results in order: two stages that overlap, or workers side by side."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from queue import SimpleQueue
from statistics import median
from typing import TypeVar

AT_ONCE, ROUNDS = 16, 3
"""Items that a way to work is tried on at a time, and how often."""
GAIN = 0.97
"""A way that takes more than this share of another one's time is not taken for faster: two runs differ by as much."""
T = TypeVar("T")
U = TypeVar("U")
W = TypeVar("W")


def work_ahead(work: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """`work` of every item, in order; one thread is at the next item while the caller uses this one's result.

    `items` are drawn in the calling thread, one ahead. What `work` raises is raised in the place of its result.
    """
    with _pool(1) as pool:
        yield from _in_order(pool, work, items, ahead=1)


def work_ahead_where_faster(
    work: Callable[[T], U], items: Iterable[T], clock: Callable[[], float] = time.perf_counter
) -> Iterator[U]:
    """:func:`work_ahead`, or ``map`` where that is faster: both are tried in turn on the first items, by medians.

    Two threads that both compute may hold each other up. All that happens between two results counts, so the caller's
    work too.
    """
    source = iter(items)
    seconds: dict[Callable[..., Iterator[U]], list[float]] = {work_ahead: [], map: []}
    for _ in range(ROUNDS):
        for way, times in seconds.items():
            start, count = clock(), 0
            for result in way(work, islice(source, AT_ONCE)):
                count += 1
                yield result
            if count < AT_ONCE:
                return
            times.append(clock() - start)
    ahead, plain = map(median, seconds.values())
    yield from (map if plain < GAIN * ahead else work_ahead)(work, source)


def work_side_by_side(work: Callable[[W, T], U], workers: Sequence[W], items: Iterable[T]) -> Iterator[U]:
    """`work(worker, item)` of every item, in order, with as many items at once as there are `workers`.

    No worker is at two items at once. `items` are drawn in the calling thread, at most two per worker ahead; what
    `work` raises is raised in the place of its result.
    """
    free: SimpleQueue[W] = SimpleQueue()
    for worker in workers:
        free.put(worker)

    def with_a_free_one(item: T) -> U:
        worker = free.get()
        try:
            return work(worker, item)
        finally:
            free.put(worker)

    with _pool(len(workers)) as pool:
        yield from _in_order(pool, with_a_free_one, items, ahead=2 * len(workers))


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads; where the caller stops early, they finish the item that they work on and begin no other."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool: ThreadPoolExecutor, work: Callable[[T], U], items: Iterable[T], ahead: int) -> Iterator[U]:
    waiting: deque[Future[U]] = deque()
    for item in items:
        waiting.append(pool.submit(work, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()

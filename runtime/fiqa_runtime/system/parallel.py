"""Several items at once, results in order: two stages that overlap, or workers side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")
W = TypeVar("W")


def work_ahead(work: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """`work` of every item, in order; one thread is at the next item while the caller uses this one's result.

    `items` are drawn in the calling thread, one ahead. What `work` raises is raised in the place of its result.
    """
    with _pool(1) as pool:
        yield from _in_order(pool, work, items, ahead=1)


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

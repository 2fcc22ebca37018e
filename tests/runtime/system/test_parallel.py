"""Work ahead of the caller, where that is faster than work in its place."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from fiqa_runtime.system.parallel import AT_ONCE, ROUNDS, work_ahead_where_faster

TRIED = 2 * AT_ONCE * ROUNDS


class Clock:
    """Tells one second more for each item that was worked on in this thread, and `ahead` for each in another."""

    def __init__(self, ahead: float) -> None:
        self.now, self._ahead = 0.0, ahead
        self._here = threading.current_thread()
        self.elsewhere: list[int] = []

    def work(self, item: int) -> int:
        other = threading.current_thread() is not self._here
        self.now += self._ahead if other else 1.0
        if other:
            self.elsewhere.append(item)
        return 10 * item

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("ahead", "goes_on_ahead"), [(0.5, True), (1.0, True), (1.02, True), (1.1, False)])
def test_the_faster_way_goes_on(ahead: float, goes_on_ahead: bool) -> None:
    clock = Clock(ahead)
    count = TRIED + 10
    assert list(work_ahead_where_faster(clock.work, range(count), clock)) == [10 * item for item in range(count)]
    tried = [item for item in range(TRIED) if item // AT_ONCE % 2 == 0]
    assert clock.elsewhere == [*tried, *(range(TRIED, count) if goes_on_ahead else ())]


@pytest.mark.parametrize("count", [0, 1, AT_ONCE - 1, AT_ONCE, AT_ONCE + 1, TRIED - 1, TRIED])
def test_short_streams_come_whole(count: int) -> None:
    assert list(work_ahead_where_faster(str, range(count))) == [str(item) for item in range(count)]


def test_no_item_is_drawn_before_it_is_needed() -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for item in range(100):
            drawn.append(item)
            yield item

    results = work_ahead_where_faster(str, items())
    assert next(results) == "0"
    assert len(drawn) <= 2

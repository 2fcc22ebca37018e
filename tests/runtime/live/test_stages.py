"""Stages on threads: the same events as without, in order, with short queues, and an end in every case."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.live import BestShots, Frame, Meter, watch_staged
from fiqa_runtime.live.stages import staged

from tests.help.limits import HANGS
from tests.help.live.moving_faces import Script, Sharpness, face_at, frames

SCRIPT = [[face_at(20 + 4 * n, 60), *([face_at(200, 100)] if n > 3 else [])] for n in range(12)]


def best_shots() -> BestShots:
    return BestShots(FaceQuality(Sharpness(), Script(SCRIPT)), every=2)


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_stages_tell_what_one_thread_tells(ahead: int) -> None:
    alone = list(best_shots().watch(frames(24)))
    meter = Meter()
    steps = list(watch_staged(best_shots(), frames(24), meter, ahead))
    assert [frame.index for frame, _ in steps if frame] == list(range(24)) and steps[-1][0] is None
    together = [event for _, events in steps for event in events]
    assert [(e.kind, e.track, e.frame, e.quality) for e in together] == [
        (e.kind, e.track, e.frame, e.quality) for e in alone
    ]
    speed = meter.speed()
    assert speed.frames == 24 and speed.fps > 0
    assert speed.p50 is not None and speed.p95 is not None and speed.p99 is not None
    assert 0 <= speed.p50 <= speed.p95 <= speed.p99


def test_a_meter_before_the_first_frame_and_after_one() -> None:
    meter = Meter()
    assert meter.speed().frames == 0 and meter.speed().p50 is None
    meter.done(frames(1)[0])
    assert meter.speed().frames == 1 and np.isfinite(meter.speed().fps)


def test_a_slow_caller_holds_up_the_source() -> None:
    drawn: list[int] = []

    def items() -> Iterator[int]:
        for n in range(50):
            drawn.append(n)
            yield n

    results = staged(items(), lambda n: n * n, ahead=2)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    # What may be drawn beside the five: two in each queue, one in the work and one on its way into each queue.
    assert len(drawn) <= 5 + 2 * 2 + 3
    assert list(results) == [n * n for n in range(5, 50)]


def test_what_a_stage_raises_comes_in_its_place() -> None:
    results = staged(range(5), lambda n: 1 // (n - 2))
    assert [next(results), next(results)] == [-1, -1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_source_that_fails_finishes_the_tracks_first() -> None:
    def failing() -> Iterator[Frame]:
        yield from frames(4)
        raise InputError("the camera is gone")

    kinds: list[str] = []
    with pytest.raises(InputError, match="the camera is gone"):
        for _, events in watch_staged(best_shots(), failing()):
            kinds += [event.kind for event in events]
    assert kinds.count("best") == kinds.count("ended") == 1


def test_threads_end_where_the_caller_stops_early() -> None:
    before = threading.active_count()
    results = staged(iter(range(10**9)), lambda n: n)
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]  # the iterator is a generator
    waiting = threading.Event()
    for _ in range(HANGS * 10):
        if threading.active_count() <= before:
            return
        waiting.wait(0.1)
    raise AssertionError("a thread is left")

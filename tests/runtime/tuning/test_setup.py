"""The fastest way is taken, never one that is slower than one photo after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from fiqa_runtime.tuning.setup import Decision, Setup, Timing, Way, fastest, measure_setups, time_interleaved

ORT, CV = Setup("onnxruntime", "onnxruntime"), Setup("opencv", "opencv")
STREAMS, OVERLAP = Setup("onnxruntime", "onnxruntime", 2), Setup("onnxruntime", "onnxruntime", 1, True)


def decided(asked: Way | None = None, /, **milliseconds: float) -> Decision:
    names = {"ort": ORT, "cv": CV, "streams": STREAMS, "overlap": OVERLAP}
    return fastest([Timing(names[name], ms) for name, ms in milliseconds.items()], asked, "measured now")


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        ({"ort": 10, "cv": 8}, CV),
        ({"ort": 10, "cv": 12, "streams": 9, "overlap": 9.5}, STREAMS),
        ({"ort": 10, "streams": 9.8, "overlap": 11}, ORT),
        ({"ort": 10, "streams": 11, "overlap": 12}, ORT),
    ],
)
def test_the_fastest_way_is_taken(milliseconds: dict[str, float], expected: Setup) -> None:
    found = decided(**milliseconds)
    assert found.setup == expected
    assert not found.left_out
    times = [timing.milliseconds for timing in found.timings]
    assert times == sorted(milliseconds.values())
    assert found.lines()[0].startswith(f"photos: {expected}: the fastest of {len(times)} ways")
    assert found.lines()[-1] == "  (measured now)"


def test_what_the_user_asks_for_is_done_unless_it_is_slower() -> None:
    assert decided((2, False), ort=10, streams=9, cv=5).setup == STREAMS
    assert decided((2, False), ort=10, streams=10.2).setup == STREAMS, "two runs differ by as much"
    slower = decided((1, True), ort=10, overlap=12.5)
    assert slower.setup == ORT
    assert slower.left_out and slower.why == "--overlap is left out: 12.50 ms a photo with it, 10.00 without"
    assert decided((2, False), ort=10, streams=13).why.startswith("--streams 2 is left out: 13.00 ms")


def test_ways_are_measured_with_the_fastest_pair_only() -> None:
    measured: list[list[Setup]] = []

    def timer(setups: Sequence[Setup]) -> list[Timing]:
        measured.append([*setups])
        return [Timing(setup, 5 if setup.scorer == "opencv" else 9) for setup in setups]

    found = measure_setups([ORT, CV], [(2, False), (1, True)], timer)
    assert measured == [[ORT, CV], [CV, Setup("opencv", "opencv", 2), Setup("opencv", "opencv", 1, True)]]
    assert len(found) == 4 and found[-1] == Timing(ORT, 9)
    assert measure_setups([ORT], [], timer) == (Timing(ORT, 9),)


def test_setups_are_measured_in_turn_and_the_median_counts() -> None:
    now, order = [0.0], []

    def run(name: str, seconds: list[float]) -> Callable[[], None]:
        def once() -> None:
            order.append(name)
            now[0] += seconds.pop(0)

        return once

    runs = {ORT: run("a", [9, 1, 8, 2]), CV: run("b", [9, 3, 3, 3])}
    assert time_interleaved(runs, 4, lambda: now[0]) == [Timing(ORT, 500), Timing(CV, 750)]
    assert order == ["a", "b"] * 4

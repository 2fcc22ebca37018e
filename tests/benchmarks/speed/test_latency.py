"""The rounds of a benchmark on a fake clock, and their statistics."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from fiqa_benchmarks.speed import latency
from fiqa_benchmarks.speed.latency import Timing, measure, ratio


@dataclass
class FakeMachine:
    """A clock that only calls move; `speed` changes what a call costs."""

    now: float = 0.0
    speed: float = 1.0
    log: list[str] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.log.append("pause")

    def step(self, name: str, seconds: float) -> Callable[[], None]:
        def call() -> None:
            self.now += seconds / self.speed
            self.log.append(name)

        return call

    def rounds(self) -> list[list[str]]:
        """What ran in each turn, warm-ups left out."""
        turns: list[list[str]] = []
        for entry in self.log:
            if entry == "pause":
                turns.append([])
            elif turns:
                turns[-1].append(entry)
        return turns


@pytest.fixture()
def fake() -> FakeMachine:
    return FakeMachine()


def test_contenders_take_turns(fake: FakeMachine) -> None:
    steps = [{"s": fake.step(name, 1.0)} for name in "ABC"]
    measure(steps, 3, clock=fake.clock, pause=fake.pause)
    assert fake.rounds() == [["A"], ["B"], ["C"]] * 3


def test_steps_of_a_contender_alternate(fake: FakeMachine) -> None:
    steps = [{"bare": fake.step("b", 0.04), "whole": fake.step("w", 0.06)}]
    (timing,) = measure(steps, 1, clock=fake.clock, pause=fake.pause)
    assert latency.TURN_SECONDS == 0.2
    assert fake.rounds() == [["b", "w", "b", "w"]]
    ((seconds,),) = timing["bare"].rounds
    assert seconds == pytest.approx(0.04)


@pytest.mark.parametrize(("seconds", "timed"), [(1.0, 1), (0.9, 1), (0.06, 2), (0.001, latency.MOST_PASSES - 1)])
def test_calls_per_turn(fake: FakeMachine, seconds: float, timed: int) -> None:
    (timing,) = measure([{"s": fake.step("A", seconds)}], 1, clock=fake.clock, pause=fake.pause)
    assert timing["s"].samples == timed
    assert len(fake.rounds()[0]) == (timed + 1 if seconds < latency.SLOW_SECONDS else 1)


def test_ratio_survives_a_machine_that_slows_down(fake: FakeMachine) -> None:
    def slower(name: str, report: int, total: int) -> None:
        fake.speed /= 2

    steps = [{"s": fake.step("A", 0.5)}, {"s": fake.step("B", 1.5)}]
    first, second = measure(steps, 5, report=slower, clock=fake.clock, pause=fake.pause)
    assert first["s"].percentile(95) > 10 * first["s"].rounds[0][0]
    found = ratio(second["s"], first["s"])
    assert (found.low, found.median, found.high) == pytest.approx((3, 3, 3))


def test_first_of_several_passes_does_not_count(fake: FakeMachine) -> None:
    woken = False

    def call() -> None:
        nonlocal woken
        asleep = bool(fake.log) and fake.log[-1] == "pause"
        woken |= asleep
        fake.now += 0.05 if asleep else 0.01
        fake.log.append("call")

    (timing,) = measure([{"s": call}], 4, clock=fake.clock, pause=fake.pause)
    assert woken
    assert timing["s"].samples == 4 * (latency.MOST_PASSES - 1)
    assert timing["s"].percentile(100) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("seconds", "rounds", "expected"),
    [
        (1e-3, None, latency.MOST_ROUNDS),
        (1e-3, 2, 2),
        (1e-3, 50, 50),
        (5.0, None, math.floor(latency.TOTAL_SECONDS / 5.1) + 1),
        (100.0, None, latency.FEWEST_ROUNDS),
        (100.0, 4, 4),
    ],
)
def test_number_of_rounds(fake: FakeMachine, seconds: float, rounds: int | None, expected: int) -> None:
    (timing,) = measure([{"s": fake.step("A", seconds)}], rounds, clock=fake.clock, pause=fake.pause)
    assert len(timing["s"].rounds) == expected


def test_progress_ends_at_its_total(fake: FakeMachine) -> None:
    seen: list[tuple[str, int, int]] = []
    steps = [{"s": fake.step("A", 100.0)}]
    measure(steps, None, lambda *a: seen.append(a), "work", clock=fake.clock, pause=fake.pause)
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert seen[-1] == ("work", latency.MOST_ROUNDS, latency.MOST_ROUNDS)


def test_statistics() -> None:
    timing = Timing(tuple(tuple((10 * r + i + 1) / 1000 for i in range(10)) for r in range(10)))
    document = timing.as_json(8)
    assert document["median_ms"] == pytest.approx(50.5)
    assert document["p95_ms"] == pytest.approx(95.05)
    assert document["p99_ms"] == pytest.approx(99.01)
    assert document["images_per_second"] == pytest.approx(8 / 0.0505)
    assert document["samples"] == 100
    assert timing.medians[:2] == pytest.approx([0.0055, 0.0155])


def test_ratio_is_taken_within_each_round() -> None:
    base = Timing(((1.0,), (10.0,), (100.0,), (1.0,), (1.0,)))
    other = Timing(((2.0,), (10.0,), (400.0,), (3.0,), (5.0,)))
    found = ratio(other, base)
    assert (found.low, found.median, found.high) == (2, 3, 4)

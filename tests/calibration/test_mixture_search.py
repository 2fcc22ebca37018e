"""The search for nodes that must stay in higher precision, with a network made up of numbers."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import pytest
from fiqa_calibration.mixture_search import EvaluatedMixture, Judged, ranking, search
from fiqa_runtime.errors import InputError, VerdictError

NODES = [f"node{i}" for i in range(20)]
COST = dict.fromkeys(NODES, 0.05)
HURT = {name: 1.0 + i / 100 for i, name in enumerate(NODES)}


class Network:
    """Passes when all of `culprits` are kept; counts what it is asked."""

    def __init__(self, *culprits: str) -> None:
        self.culprits = set(culprits)
        self.asked: list[frozenset[str]] = []

    def __call__(self, kept: frozenset[str]) -> Judged:
        self.asked.append(kept)
        missing = self.culprits - kept
        return Judged(1.0 - len(missing) / 100, tuple(f"{name} is reduced" for name in sorted(missing)))


def test_nothing_is_kept_where_nothing_hurts() -> None:
    network = Network()
    result = search(HURT, COST, network)
    assert result.chosen.kept == ()
    assert result.chosen.passed
    assert len(network.asked) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13, 20])
def test_shortest_beginning_of_the_ranking_is_found(count: int) -> None:
    order = ranking(HURT, COST)
    network = Network(*order[:count])
    result = search(HURT, COST, network)
    assert set(result.chosen.kept) == set(order[:count])
    assert result.chosen.cost == pytest.approx(0.05 * count)
    assert len(network.asked) <= 2 + 2 * len(NODES).bit_length()
    assert len(set(network.asked)) == len(network.asked)


@pytest.mark.parametrize("count", [0, 1, 7, 19, 20])
@pytest.mark.parametrize("first", [0, 1, 6, 7, 8, 20, 99])
def test_first_guess_changes_the_way_and_not_the_result(count: int, first: int) -> None:
    order = ranking(HURT, COST)
    network = Network(*order[:count])
    assert set(search(HURT, COST, network, first=first).chosen.kept) == set(order[:count])
    assert len(set(network.asked)) == len(network.asked)
    if abs(first - count) <= 1:
        assert len(network.asked) <= 4


def test_bad_luck_does_not_end_the_way_down() -> None:
    order = ranking(HURT, COST)
    unlucky = frozenset(order[:15])

    def evaluate(kept: frozenset[str]) -> Judged:
        missed = kept == unlucky or len(kept) < 6
        return Judged(len(kept) / 100, ("missed",) if missed else ())

    assert len(search(HURT, COST, evaluate, first=15).chosen.kept) == 6
    assert len(search(HURT, COST, evaluate, first=16).chosen.kept) == 6


def test_bad_luck_on_the_way_up_does_not_hide_what_is_below() -> None:
    """61 to 76 of the parts miss the budget, 57 to 60 meet it; the way up meets neither 51 nor 67."""
    hurt = {f"node{i}": 200.0 - i for i in range(130)}

    def evaluate(kept: frozenset[str]) -> Judged:
        return Judged(len(kept) / 200, ("missed",) if len(kept) < 57 or 61 <= len(kept) < 77 else ())

    assert len(search(hurt, dict.fromkeys(hurt, 0.005), evaluate, first=35).chosen.kept) == 57


def test_way_up_ends_before_nothing_is_left() -> None:
    """Keeping everything is not a mixture: the search asks about fewer first."""

    def evaluate(kept: frozenset[str]) -> Judged:
        return Judged(0.9, () if len(NODES) - 2 <= len(kept) < len(NODES) else ("missed",))

    assert len(search(HURT, COST, evaluate, first=len(NODES) * 2 // 3).chosen.kept) == len(NODES) - 2


def test_poisoned_node_is_the_only_one_kept() -> None:
    result = search({**HURT, "node7": 50.0}, COST, Network("node7"))
    assert result.chosen.kept == ("node7",)


def test_cheap_nodes_go_back_before_costly_ones_that_hurt_as_much() -> None:
    assert ranking({"a": 1.0, "b": 1.0, "c": 2.0}, {"a": 0.3, "b": 0.01, "c": 0.3}) == ["b", "c", "a"]


def test_node_that_costs_and_hurts_nothing_comes_last() -> None:
    assert ranking({"free": 1e-6, "dear": 0.1}, {"free": 0.0, "dear": 0.5}) == ["dear", "free"]


@pytest.mark.parametrize("count", [5, 59, 61, 64, 90, 127, 128, 150, 199])
def test_few_mixtures_are_tried_on_either_side_of_the_first_guess(count: int) -> None:
    hurt = {f"node{i}": 200.0 - i for i in range(200)}
    cost = dict.fromkeys(hurt, 0.005)
    network = Network(*ranking(hurt, cost)[:count])
    assert len(search(hurt, cost, network, first=60).chosen.kept) == count
    assert len(network.asked) <= 3 + 2 * abs(count - 60).bit_length()


def test_hurt_that_is_no_number_comes_first() -> None:
    assert ranking({**HURT, "broken": math.nan}, COST)[0] == "broken"


def test_budget_that_cannot_be_met_names_the_best_and_what_blocks_it() -> None:
    def evaluate(kept: frozenset[str]) -> Judged:
        if len(kept) == len(NODES):
            return Judged(math.nan, ("nothing is reduced",))
        return Judged(0.90 + len(kept) / 1000, ("SRCC is below 0.995",))

    result = search(HURT, COST, evaluate)
    last = ranking(HURT, COST)[len(result.chosen.kept) :]
    assert result.chosen.judged.quality == max(trial.judged.quality for trial in result.mixtures[:-1])
    assert result.reduced == tuple(last)
    assert last
    with pytest.raises(VerdictError, match=rf"SRCC is below 0\.995; .* blocks it: {last[0]}") as caught:
        result.require()
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


def test_pareto_has_no_trial_that_another_beats() -> None:
    order = ranking(HURT, COST)
    front = search(HURT, COST, Network(*order[:11])).pareto
    assert len(front) > 2
    for one, other in itertools.pairwise(front):
        assert one.cost < other.cost
        assert one.judged.quality < other.judged.quality


def test_undefined_quality_is_neither_chosen_nor_on_the_front() -> None:
    def evaluate(kept: frozenset[str]) -> Judged:
        return Judged(0.5 if len(kept) == 4 else math.nan, ("missed",))

    result = search(HURT, COST, evaluate)
    assert len(result.chosen.kept) == 4
    assert [len(trial.kept) for trial in result.pareto] == [4]


def test_stopped_search_goes_on_where_it_was(tmp_path: Path) -> None:
    journal = tmp_path / "search.json"
    order = ranking(HURT, COST)
    whole = Network(*order[:11])
    expected = search(HURT, COST, whole)

    class Stopped(Network):
        def __call__(self, kept: frozenset[str]) -> Judged:
            if len(self.asked) == 3:
                raise KeyboardInterrupt
            return super().__call__(kept)

    stopped, resumed = Stopped(*order[:11]), Network(*order[:11])
    with pytest.raises(KeyboardInterrupt):
        search(HURT, COST, stopped, journal, "key")
    assert search(HURT, COST, resumed, journal, "key") == expected
    assert len(stopped.asked) + len(resumed.asked) == len(whole.asked)
    assert not set(stopped.asked) & set(resumed.asked)


def test_journal_of_something_else_is_not_used(tmp_path: Path) -> None:
    journal = tmp_path / "search.json"
    search(HURT, COST, Network("node3"), journal, "one")
    other = Network()
    assert search(HURT, COST, other, journal, "other").chosen.kept == ()
    assert other.asked


@pytest.mark.parametrize("text", ["", "[]", '{"key": "key"}', '{"key": "key", "trials": [{"kept": []}]}'])
def test_damaged_journal_is_refused(tmp_path: Path, text: str) -> None:
    journal = tmp_path / "search.json"
    journal.write_text(text)
    with pytest.raises(InputError, match="delete it"):
        search(HURT, COST, Network(), journal, "key")


def test_network_without_nodes_is_refused() -> None:
    with pytest.raises(InputError, match="another precision"):
        search({}, {}, Network())


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    search(HURT, COST, Network("node3"), report=lambda what, done, total: told.append((done, total)))
    assert told[0][0] == 0
    assert told[-1][0] == told[-1][1]
    assert all(done <= total for done, total in told)


def test_trial_passes_without_failures() -> None:
    assert EvaluatedMixture((), 0.0, Judged(1.0)).passed
    assert not EvaluatedMixture((), 0.0, Judged(1.0, ("missed",))).passed

"""Bands and differences: each draw is that of plain loops over a written-out list, and the intervals mean something."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from fiqa_evaluation.data_set.identities import identities_of_pairs
from fiqa_evaluation.discard import bootstrap
from fiqa_evaluation.discard.bootstrap import Difference, cr_fiqa_draws, differences, edc_draws
from fiqa_evaluation.discard.comparisons import Comparisons
from fiqa_evaluation.discard.curves import edc_curves
from fiqa_evaluation.discard.evaluate import Wanted, evaluate
from fiqa_evaluation.discard.start import FMRS, STARTS, Start
from fiqa_runtime.errors import InputError

from tests.help.evaluation.plain_discard import naive_cr_fiqa
from tests.help.evaluation.plain_evaluation import drawn_pairs, naive_draw, naive_error, naive_threshold

RNG = np.random.default_rng(77)
PERSONS, IMAGES = 9, 27


def problem(tied: bool) -> tuple[Comparisons, np.ndarray, dict[str, np.ndarray], list[Any]]:
    """All pairs of 27 images of 9 persons, with two qualities, tied or not."""
    identity = np.arange(IMAGES) % PERSONS
    quality = RNG.integers(0, 6, IMAGES) / 6 if tied else RNG.random(IMAGES)
    a, b = np.triu_indices(IMAGES, 1)
    genuine = identity[a] == identity[b]
    spread = 1.2 - np.minimum(quality[a], quality[b])
    distance = np.where(genuine, 0.3, 0.6) + spread * RNG.normal(0, 0.12, len(a))
    distance = distance.round(2) if tied else distance
    comparisons = Comparisons(np.stack([a, b], axis=1), genuine, distance)
    qualities = {"good": quality + RNG.normal(0, 0.01, IMAGES) * (not tied), "random": RNG.random(IMAGES)}
    pairs = list(zip(a.tolist(), b.tolist(), genuine.tolist(), distance.tolist(), strict=True))
    return comparisons, identity, qualities, pairs


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("tied", [True, False])
def test_draws_equal_plain_loops(tied: bool, whole: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With few impostors all are weighed; with many only the nearest, which must give the same."""
    if not whole:
        monkeypatch.setattr(bootstrap, "WHOLE", 20)
    comparisons, identity, qualities, pairs = problem(tied)
    starts = (Start("fmr", 0.1), Start("fmr", 0.01))
    found = edc_draws(comparisons, identity, qualities, starts, resamples=25, seed=3)
    generator = np.random.default_rng(3)
    for draw in range(25):
        persons = generator.integers(PERSONS, size=PERSONS).tolist()
        for name, quality in qualities.items():
            for place, start in enumerate(starts):
                fnmr, areas = naive_draw(pairs, identity.tolist(), persons, quality.tolist(), start.rate)
                np.testing.assert_allclose(found[name][place].fnmr[draw], fnmr, rtol=0, atol=1e-12)
                np.testing.assert_allclose(found[name][place].pauc[draw], areas, rtol=0, atol=1e-12)


def test_draws_by_fnmr_equal_plain_loops() -> None:
    comparisons, identity, qualities, pairs = problem(tied=False)
    found = edc_draws(comparisons, identity, qualities, [Start("fnmr", 0.2)], resamples=15, seed=4)
    generator = np.random.default_rng(4)
    for draw in range(15):
        drawn = drawn_pairs(pairs, identity.tolist(), generator.integers(PERSONS, size=PERSONS).tolist())
        points = naive_error(drawn, qualities["good"].tolist(), "genuine", naive_threshold(drawn, "fnmr", 0.2))
        assert found["good"][0].fnmr[draw, 0] == pytest.approx(points[0][1], abs=1e-12)


def test_cr_fiqas_draws_equal_plain_loops() -> None:
    comparisons, identity, qualities, pairs = problem(tied=False)
    found = cr_fiqa_draws(comparisons, identity, qualities, resamples=6, seed=5)
    generator = np.random.default_rng(5)
    for draw in range(6):
        drawn = drawn_pairs(pairs, identity.tolist(), generator.integers(PERSONS, size=PERSONS).tolist())
        for place, fmr in enumerate(FMRS):
            expected = naive_cr_fiqa(drawn, qualities["good"].tolist(), fmr, False)
            np.testing.assert_allclose(found["good"][place].fnmr[draw], expected, rtol=0, atol=1e-12)


def test_a_good_score_is_told_from_a_random_one_and_not_from_itself() -> None:
    generator = np.random.default_rng(1)
    identity = np.repeat(np.arange(150), 4)
    quality = generator.random(600)
    a, b = np.triu_indices(600, 1)
    chosen = (identity[a] == identity[b]) | (generator.random(len(a)) < 0.03)
    a, b = a[chosen], b[chosen]
    genuine = identity[a] == identity[b]
    spread = 1.1 - np.minimum(quality[a], quality[b])
    distance = np.where(genuine, 0.2 + 0.3 * spread, 0.6) + generator.normal(0, 0.1, len(a))
    comparisons = Comparisons(np.stack([a, b], axis=1), genuine, distance)
    qualities = {"good": quality, "random": generator.random(600), "same": quality.copy()}
    found = evaluate(comparisons, identity, qualities, wanted=Wanted(resamples=300))
    by_pair = {(d.first, d.second, d.limit): d for d in found.differences if d.start == "FMR 0.01"}
    told = by_pair["good", "random", 0.3]
    assert told.high < 0 and told.verdict == "good is better than random"
    same = by_pair["good", "same", 0.3]
    assert same.low == same.high == same.value == 0 and same.verdict == "good and same cannot be told apart"
    turned = by_pair["random", "same", 0.3]
    assert turned.verdict == "same is better than random"
    curve = edc_curves(comparisons, quality)[0]
    row = found.methods[0].as_json()[0]
    ends = (row["low"], curve.at(row["discard"]), row["high"])
    assert all(low <= value <= high for low, value, high in zip(*ends, strict=True))
    assert told.value == pytest.approx(curve.pauc[0.3] - edc_curves(comparisons, qualities["random"])[0].pauc[0.3])


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """Of 60 data sets of one kind, the 95 % interval of the FNMR at the start holds the true rate in most."""
    generator = np.random.default_rng(8)
    hits = 0
    for trial in range(60):
        identity = np.repeat(np.arange(60), 3)
        hard = generator.normal(0, 0.12, 60)  # a person's own difficulty ties the pairs of that person together
        a, b = np.triu_indices(180, 1)
        genuine = identity[a] == identity[b]
        kept = genuine | (generator.random(len(a)) < 0.1)
        a, b, genuine = a[kept], b[kept], genuine[kept]
        distance = np.where(genuine, 0.3 + hard[identity[a]], 0.42) + generator.normal(0, 0.02, len(a))
        comparisons = Comparisons(np.stack([a, b], axis=1), genuine, distance)
        draws = edc_draws(
            comparisons, identity, {"m": generator.random(180)}, [Start("fmr", 0.5)], resamples=120, seed=trial
        )
        low, high = draws["m"][0].band()
        threshold = Start("fmr", 0.5).threshold(comparisons.genuines, comparisons.impostors)
        truth = 0.5 * math.erfc((threshold - 0.3) / math.hypot(0.12, 0.02) / math.sqrt(2))
        hits += bool(low[0] is not None and high[0] is not None and low[0] <= truth <= high[0])
    assert hits >= 48


def test_the_same_seed_gives_the_same_draws() -> None:
    comparisons, identity, qualities, _ = problem(tied=False)
    one, again, other = (edc_draws(comparisons, identity, qualities, resamples=5, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one["good"][0].fnmr, again["good"][0].fnmr)
    assert not np.array_equal(one["good"][0].fnmr, other["good"][0].fnmr, equal_nan=True)


def test_draws_without_a_kind_of_pairs_are_left_out() -> None:
    """Two persons: half of the draws hold one of them alone, and no impostor pair."""
    comparisons = Comparisons(
        np.array([[0, 1], [2, 3], [0, 2]]), np.array([True, True, False]), np.array([0.1, 0.4, 0.3])
    )
    identity = np.array([0, 0, 1, 1])
    draws = edc_draws(comparisons, identity, {"m": np.arange(4.0)}, [Start("fmr", 0.5)], resamples=40)["m"][0]
    alone = np.isnan(draws.fnmr[:, 0])
    assert 5 < alone.sum() < 35
    assert draws.band()[0][0] is not None
    values = {"m": [{0.2: 0.1, 0.3: 0.1}], "n": [{0.2: 0.1, 0.3: 0.1}]}
    (first, *_) = differences(values, {"m": (draws,), "n": (draws,)}, ["FMR 0.5"])
    assert isinstance(first, Difference) and first.low == first.high == 0


def test_one_person_cannot_be_drawn_from() -> None:
    comparisons = Comparisons(np.array([[0, 1], [0, 2]]), np.array([True, False]), np.array([0.1, 0.4]))
    with pytest.raises(InputError, match="two persons at least"):
        edc_draws(comparisons, np.zeros(3, np.int64), {"m": np.arange(3.0)}, STARTS, resamples=2)


def test_few_persons_are_noted() -> None:
    comparisons, identity, qualities, _ = problem(tied=False)
    assert "fewer than 20 persons" in evaluate(comparisons, identity, qualities, wanted=Wanted(resamples=3)).notes[0]


def test_persons_are_what_genuine_pairs_connect() -> None:
    pairs = np.array([[0, 1], [1, 2], [3, 4], [2, 5]])
    found = identities_of_pairs(7, pairs, np.array([True, True, True, False]))
    assert found[0] == found[1] == found[2] and found[3] == found[4]
    assert len(set(found.tolist())) == 4

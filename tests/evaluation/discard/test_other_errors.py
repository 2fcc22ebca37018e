"""Starting errors by FNMR, false matches and DET against discard, relative areas: all against plain loops."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from fiqa_evaluation.discard.comparisons import Comparisons
from fiqa_evaluation.discard.curves import edc_curves
from fiqa_evaluation.discard.evaluate import Wanted, evaluate
from fiqa_evaluation.discard.false_match import DET_RATES, det_curves, false_match_curves
from fiqa_evaluation.discard.start import Start
from fiqa_runtime.errors import InputError
from hypothesis import given
from hypothesis import strategies as st

from tests.help.evaluation.plain_evaluation import at, naive_det, naive_error, naive_threshold, step_area


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Any], list[float]]:
    """Pairs (a, b, genuine, distance) with ties in everything, and qualities."""
    images = draw(st.integers(3, 8))
    place = st.integers(0, images - 1)
    distance = st.integers(0, 12).map(lambda step: step / 12)
    pair = st.tuples(place, place, st.booleans(), distance)
    pairs = draw(st.lists(pair, min_size=2, max_size=30))
    pairs += [(0, 1, True, 0.25), (0, 2, False, 0.75)]
    return pairs, draw(st.lists(st.integers(0, 5).map(float), min_size=images, max_size=images))


def build(pairs: list[Any]) -> Comparisons:
    a, b, genuine, distance = map(np.array, zip(*pairs, strict=True))
    return Comparisons(np.stack([a, b], axis=1).astype(np.int64), genuine.astype(bool), distance.astype(np.float64))


@given(problem=problems(), rate=st.sampled_from([0.01, 0.1, 0.25, 0.5]), by=st.sampled_from(["fmr", "fnmr"]))
def test_either_start_equals_plain_loops(problem: tuple[list[Any], list[float]], rate: float, by: Any) -> None:
    pairs, quality = problem
    comparisons = build(pairs)
    (curve,) = edc_curves(comparisons, np.array(quality), starts=[Start(by, rate)], limits=(0.15, 0.4))
    threshold = naive_threshold(pairs, by, rate)
    points = naive_error(pairs, quality, "genuine", threshold)
    assert curve.discard.tolist() == pytest.approx([x for x, _ in points], abs=1e-12)
    assert curve.fnmr.tolist() == pytest.approx([y for _, y in points], abs=1e-12)
    for limit in (0.15, 0.4):
        assert curve.pauc[limit] == pytest.approx(step_area(points, limit), abs=1e-12)
        start = points[0][1]
        best = (start**2 - max(start - limit, 0) ** 2) / 2
        assert curve.above_best(limit) == pytest.approx(step_area(points, limit) - best, abs=1e-12)
        if start:
            assert curve.relative(limit) == pytest.approx(step_area(points, limit) / (start * limit), abs=1e-12)
        else:
            assert math.isnan(curve.relative(limit))
    if by == "fnmr":
        impostors = [d for *_, same, d in pairs if not same]
        assert curve.fmr == pytest.approx(sum(d <= threshold for d in impostors) / len(impostors), abs=1e-12)


@given(problem=problems(), rate=st.sampled_from([0.01, 0.25, 0.5]), by=st.sampled_from(["fmr", "fnmr"]))
def test_false_matches_equal_plain_loops(problem: tuple[list[Any], list[float]], rate: float, by: Any) -> None:
    pairs, quality = problem
    (curve,) = false_match_curves(build(pairs), np.array(quality), starts=[Start(by, rate)])
    points = naive_error(pairs, quality, "impostor", naive_threshold(pairs, by, rate))
    assert curve.discard.tolist() == pytest.approx([x for x, _ in points], abs=1e-12)
    assert curve.fmr.tolist() == pytest.approx([y for _, y in points], abs=1e-12)
    assert curve.pauc[0.3] == pytest.approx(step_area(points, 0.3), abs=1e-12)
    assert curve.at(np.array([0.5]))[0] == pytest.approx(at(points, 0.5), abs=1e-12)


@given(problem=problems(), fraction=st.sampled_from([0.0, 0.1, 0.5, 0.8]))
def test_det_equals_plain_loops(problem: tuple[list[Any], list[float]], fraction: float) -> None:
    pairs, quality = problem
    (curve,) = det_curves(build(pairs), np.array(quality), fractions=[fraction])
    limit = sorted(min(quality[a], quality[b]) for a, b, *_ in pairs)[math.trunc(fraction * len(pairs))]
    left = [pair for pair in pairs if min(quality[pair[0]], quality[pair[1]]) >= limit]
    assert (curve.genuine, curve.impostor) == (sum(p[2] for p in left), sum(not p[2] for p in left))
    assert curve.discarded == pytest.approx(1 - len(left) / len(pairs), abs=1e-12)
    if curve.genuine and curve.impostor:
        expected = naive_det(pairs, quality, fraction, DET_RATES.tolist())
        assert curve.fnmr.tolist() == pytest.approx(expected, abs=1e-12)
    else:
        assert np.isnan(curve.fnmr).all() and set(curve.as_json()["fnmr"]) == {None}


def test_lower_is_better_turns_every_error() -> None:
    generator = np.random.default_rng(2)
    comparisons = Comparisons(generator.integers(0, 40, (300, 2)), np.arange(300) % 3 == 0, generator.random(300))
    quality = generator.random(40)
    wanted = Wanted(also=("fmr", "det"))
    persons = np.arange(40) % 10
    up = evaluate(comparisons, persons, {"m": quality}, wanted=wanted).as_json()
    down = evaluate(comparisons, persons, {"m": -quality}, {"m"}, wanted).as_json()
    for row in down["edc"]:
        row["lower_is_better"] = False
        row["notes"] = next(other["notes"] for other in up["edc"] if other["fmr"] == row["fmr"])
    assert up == down and up["det"] and up["edc"][0]["false_match"]["fmr"]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Start("fmr", 0), "give a rate between 0 and 1"),
        (lambda: Start("fnmr", 1), "give a rate between 0 and 1"),
        (lambda: Wanted(limits=()), "outside 0 to 1"),
        (lambda: Wanted(limits=(1.5,)), "outside 0 to 1"),
        (lambda: Wanted(also=("eer",)), "unknown error 'eer'"),
        (lambda: Wanted("cr-fiqa", also=("det",)), "CR-FIQA's protocol takes its thresholds anew"),
    ],
)
def test_settings_that_make_no_sense(make: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        make()

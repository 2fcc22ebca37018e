"""Opinion scores: statistics against SciPy, logistic fits on known curves, paired intervals."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pytest
from fiqa_evaluation.opinions.accuracy import STATISTICS, accuracy, logistic_map
from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.scoring.agreement import pearson
from scipy import stats
from scipy.optimize import curve_fit
from scipy.special import expit

Floats = np.ndarray


def opinions(images: int = 300, seed: int = 0) -> tuple[Floats, Floats]:
    """Mean opinion scores and scores that predict them through a bend and noise."""
    generator = np.random.default_rng(seed)
    mos = generator.random(images)
    return mos, expit(6 * (mos - 0.4)) + 0.1 * generator.standard_normal(images)


def test_statistics_equal_scipy() -> None:
    mos, scores = opinions()
    scores = scores.round(1)
    row = accuracy(mos, {"engine": scores}, resamples=10).engines["engine"]
    assert list(row) == list(STATISTICS)
    assert row["srcc"].value == pytest.approx(stats.spearmanr(scores, mos).statistic, abs=1e-12)
    assert row["krcc"].value == pytest.approx(stats.kendalltau(scores, mos).statistic, abs=1e-12)
    assert row["plcc"].value == pytest.approx(stats.pearsonr(scores, mos).statistic, abs=1e-12)
    assert row["rmse"].value == pytest.approx(math.sqrt(np.mean((scores - mos) ** 2)), abs=1e-12)
    mapped = logistic_map(scores, mos, 5)
    assert row["plcc_5"].value == pytest.approx(stats.pearsonr(mapped, mos).statistic, abs=1e-12)
    assert row["rmse_5"].value == pytest.approx(math.sqrt(np.mean((mapped - mos) ** 2)), abs=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_an_exact_logistic_is_found(scale: float, sign: int) -> None:
    scores = np.random.default_rng(0).standard_normal(200)
    step = 3 * expit(sign * 2.5 * (scores - 0.3)) + 1
    assert logistic_map(scores * scale, step, 4) == pytest.approx(step, abs=1e-5)
    assert logistic_map(scores * scale, step - 0.2 * scores, 5) == pytest.approx(step - 0.2 * scores, abs=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_a_fit_is_as_good_as_scipys_where_that_converges(seed: int) -> None:
    mos, scores = opinions(seed=seed)

    def four(s: Floats, high: float, low: float, centre: float, slope: float) -> Floats:
        return low + (high - low) * expit(slope * (s - centre))

    mos = four(scores, 0.9, 0.1, 0.5, 5.0) + 0.1 * np.random.default_rng(seed).standard_normal(mos.size)
    fitted, _ = curve_fit(four, scores, mos, (mos.max(), mos.min(), scores.mean(), 1 / scores.std()))
    best = np.sum((four(scores, *fitted) - mos) ** 2)
    assert np.sum((logistic_map(scores, mos, 4) - mos) ** 2) == pytest.approx(best, rel=1e-6)
    assert np.sum((logistic_map(scores, mos, 5) - mos) ** 2) < best * (1 + 1e-6)


def test_a_steep_step_on_a_line_is_found() -> None:
    scores = np.random.default_rng(0).random(500)
    mos = 0.6 * scores + 0.08 * expit(100 * (scores - 0.85))
    assert logistic_map(scores, mos, 5) == pytest.approx(mos, abs=1e-6)


def test_scores_that_bend_one_way_still_have_a_fit() -> None:
    mos = np.linspace(0, 1, 200)
    scores = np.log(mos + 0.05)
    assert pearson(logistic_map(scores, mos, 4), mos) > pearson(scores, mos) + 0.02


def test_equal_engines_differ_by_exactly_nothing() -> None:
    mos, scores = opinions()
    result = accuracy(mos, {"fp32": scores, "copy": scores.astype(np.float64)}, resamples=50)
    assert list(result.differences) == ["copy"]
    for estimate in result.differences["copy"].values():
        assert (estimate.value, estimate.low, estimate.high) == (0, 0, 0)


def test_paired_intervals_are_far_narrower_than_single_ones() -> None:
    mos, scores = opinions()
    near = scores + 1e-3 * np.random.default_rng(9).standard_normal(scores.size)
    result = accuracy(mos, {"fp32": scores, "int8": near}, resamples=300)
    single, paired = result.engines["fp32"]["srcc"], result.differences["int8"]["srcc"]
    assert paired.high - paired.low < 0.1 * (single.high - single.low)
    assert paired.value == result.engines["int8"]["srcc"].value - single.value


def test_intervals_hold_the_value_and_follow_the_seed() -> None:
    mos, scores = opinions()
    first, again, other = (accuracy(mos, {"e": scores}, 100, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert all(e.low < e.value < e.high for e in first.engines["e"].values())


def test_intervals_equal_a_plain_bootstrap() -> None:
    mos, scores = opinions(40)
    draws = np.random.default_rng(4)
    indices = [draws.integers(40, size=40) for _ in range(60)]
    taus = [stats.kendalltau(scores[i], mos[i]).statistic for i in indices]
    found = accuracy(mos, {"e": scores}, resamples=60, seed=4).engines["e"]["krcc"]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(taus, (2.5, 97.5))), abs=1e-12)


def test_constant_scores_are_undefined_and_the_others_go_on() -> None:
    mos, scores = opinions()
    result = accuracy(mos, {"good": scores, "broken": np.full(mos.size, 0.5)}, resamples=20)
    assert result.notes == ("broken: constant scores, correlation undefined",)
    assert math.isnan(result.engines["broken"]["srcc"].value)
    assert result.engines["good"]["srcc"].value > 0.8
    data = json.loads(json.dumps(result.as_json(), allow_nan=False))
    assert data["engines"]["broken"]["plcc_4"] == {"value": None, "low": None, "high": None}
    assert data["differences"]["broken"]["srcc"]["value"] is None
    assert "constant scores" in str(result)


def test_few_images_get_no_logistic() -> None:
    result = accuracy([1, 2, 3, 4, 5], {"e": [1, 2, 3, 5, 4]}, resamples=20)
    assert result.notes == ("e: fewer than 6 images, no logistic fitted",)
    assert result.engines["e"]["srcc"].value == pytest.approx(0.9)
    assert math.isnan(result.engines["e"]["plcc_4"].value)


@pytest.mark.parametrize(
    ("mos", "engines", "says"),
    [
        ([1, 2, math.nan], {"e": [1, 2, 3]}, "is nan"),
        ([1, 2, 3], {"e": [1, 2]}, "cannot be compared"),
        ([1, 1, 1], {"e": [1, 2, 3]}, "all opinion scores are equal"),
        ([1, 2, 3], {}, "no engine"),
    ],
)
def test_what_cannot_be_judged_is_refused(mos: list[float], engines: dict[str, list[float]], says: str) -> None:
    with pytest.raises(InputError, match=says):
        accuracy(mos, engines)


def test_without_scipy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(DependencyError, match=r"fiqa-edge\[bench\]"):
        accuracy([1, 2, 3], {"e": [1, 2, 3]})

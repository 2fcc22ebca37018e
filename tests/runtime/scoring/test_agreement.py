"""Agreement of two score lists: against SciPy, against hand-made cases, and on input that cannot be compared."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.scoring.agreement import SHARES, agree, bootstrap, flips, pearson, spearman
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

FEW_VALUES = st.integers(-3, 3).map(float)
PAIRS = st.lists(st.tuples(FEW_VALUES, FEW_VALUES), min_size=2, max_size=30)


@given(PAIRS)
def test_correlations_equal_scipy_with_ties(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    found = agree(a, b)
    if len(set(a)) == 1 or len(set(b)) == 1:
        assert found.undefined
        assert math.isnan(found.srcc) and math.isnan(found.pearson) and math.isnan(found.kendall or 0)
        return
    assert found.srcc == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
    assert found.pearson == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-12)
    assert found.kendall == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)


def test_numbers_of_a_case_worked_by_hand() -> None:
    reference = np.arange(20.0)
    other = reference.copy()
    other[[1, 3]] = 3, 0.25
    found = agree(reference, other)
    assert (found.n, found.max_abs, found.mean_abs, found.score_range) == (20, 2.75, 4.75 / 20, 19.0)
    # Thresholds 0.5, 1.5, 3.5 reject 1, 2, 4 of the reference; 3 -> 0.25 crosses the first two, 1 -> 3 the second.
    assert found.flips == {0.05: 1 / 20, 0.10: 2 / 20, 0.20: 0.0}
    assert not found.undefined


@given(st.lists(st.tuples(FEW_VALUES, FEW_VALUES), min_size=2, max_size=40), st.sampled_from(SHARES))
def test_flips_equal_a_count_one_by_one(pairs: list[tuple[float, float]], share: float) -> None:
    reference, other = np.array(pairs).T
    ranked = sorted(reference)
    rejected = max(1, math.floor(share * len(ranked)))
    threshold = (ranked[rejected - 1] + ranked[rejected]) / 2
    changed = sum((a >= threshold) != (b >= threshold) for a, b in pairs)
    assert flips(reference, other, share) == changed / len(pairs)


def test_the_rejected_share_is_rounded_down() -> None:
    reference = np.arange(19.0)
    other = reference.copy()
    other[0] = 1.25
    assert flips(reference, other, 0.10) == 1 / 19, "1.9 images: the threshold is 0.5, not 1.5"


def test_the_same_list_agrees_exactly() -> None:
    scores = np.random.default_rng(0).random(101).astype(np.float32)
    found = agree(scores, scores)
    assert (found.srcc, found.kendall, found.pearson, found.max_abs) == (1.0, 1.0, 1.0, 0.0)
    assert set(found.flips.values()) == {0.0}
    assert spearman(-scores.astype(float), scores.astype(float)) == -1.0


def test_tiny_noise_flips_nothing_where_scores_are_apart() -> None:
    reference = np.linspace(0, 1, 50)
    assert set(agree(reference, reference + 1e-6).flips.values()) == {0.0}


def test_large_and_tiny_scales_keep_the_correlation() -> None:
    a = np.random.default_rng(1).random(50)
    b = a + 0.1 * np.random.default_rng(2).random(50)
    assert pearson(a * 1e-200, b * 1e200) == pytest.approx(pearson(a, b), abs=1e-12)


def test_constant_scores_are_undefined_and_say_so() -> None:
    found = agree([0.3, 0.3, 0.3], [0.1, 0.2, 0.3])
    assert found.undefined
    assert "correlation undefined (constant scores)" in str(found)
    data = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert data["srcc"] is None and data["kendall"] is None and data["max_abs"] == pytest.approx(0.2)


def test_one_image_has_a_difference_but_no_ranks() -> None:
    found = agree([0.5], [0.25])
    assert found.max_abs == 0.25
    assert found.undefined
    assert found.as_json()["flips"] == {"0.05": None, "0.1": None, "0.2": None}


def test_it_prints_in_one_line() -> None:
    found = agree([0.1, 0.2, 0.4, 0.3], [0.1, 0.25, 0.3, 0.35])
    assert "\n" not in repr(found)
    assert "SRCC 0.800000" in str(found) and "flips" in repr(found)


def test_without_scipy_only_kendall_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    found = agree([0.1, 0.2, 0.4], [0.1, 0.3, 0.2])
    assert found.kendall is None
    assert found.srcc == 0.5
    assert "SciPy is not installed" in str(found)


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ([0.1, math.nan], [0.1, 0.2], "score 1 .* is nan"),
        ([0.1, 0.2], [math.inf, 0.2], "score 0 .* is inf"),
        ([0.1, 0.2], [0.1], "cannot be compared"),
        ([], [], "no scores"),
        ([[0.1, 0.2]], [[0.1, 0.2]], "cannot be compared"),
        (["a", "b"], [0.1, 0.2], "must be numbers"),
        ([0.1, None], [0.1, 0.2], "is nan"),
    ],
)
def test_what_cannot_be_compared_is_refused(a: list[float], b: list[float], says: str) -> None:
    with pytest.raises(InputError, match=says) as caught:
        agree(a, b)
    assert "\n" not in str(caught.value)


def test_bootstrap_equals_scipy_on_the_same_draws() -> None:
    generator = np.random.default_rng(5)
    a = generator.integers(0, 9, 40).astype(float)
    b = a + generator.integers(-3, 4, 40).astype(float)
    draws = np.random.default_rng(7)
    indices = [draws.integers(40, size=40) for _ in range(200)]
    expected = np.percentile([stats.spearmanr(a[i], b[i]).statistic for i in indices], (2.5, 97.5))
    assert bootstrap(a, b, resamples=200, seed=7) == pytest.approx(tuple(expected), abs=1e-12)
    assert bootstrap(a, b, resamples=200, seed=7) == bootstrap(a, b, resamples=200, seed=7)
    assert bootstrap(a, b, resamples=200, seed=8) != bootstrap(a, b, resamples=200, seed=7)


def test_bootstrap_of_constant_scores_is_undefined() -> None:
    assert all(math.isnan(end) for end in bootstrap([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], resamples=20))

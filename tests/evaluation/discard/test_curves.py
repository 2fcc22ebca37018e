"""Error versus discard: CR-FIQA's numbers to 1e-12, both protocols against plain loops, limits of time and memory."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fiqa_evaluation.discard import comparisons
from fiqa_evaluation.discard.comparisons import Comparisons, Metric, pair_distances
from fiqa_evaluation.discard.curves import (
    FRACTIONS,
    DiscardCurve,
    cr_fiqa_curves,
    edc_curves,
    nearest_thresholds,
)
from fiqa_evaluation.discard.start import FMRS
from fiqa_runtime.errors import InputError
from hypothesis import given
from hypothesis import strategies as st

from tests.help.evaluation.plain_discard import naive_cr_fiqa, naive_edc
from tests.help.limits import HANGS
from tests.help.places import GOLDEN

ERC = GOLDEN / "erc"
Golden = Callable[[str], Any]


def load(name: str, metric: Metric) -> tuple[Comparisons, dict[str, np.ndarray]]:
    arrays = dict(np.load(ERC / f"{name}.npz"))
    pairs = arrays["pairs"].astype(np.int64)
    distance = pair_distances(arrays["embeddings"], pairs[:, :2], metric)
    return Comparisons(pairs[:, :2], pairs[:, 2] == 1, distance), arrays


def assert_equals_golden(curves: tuple[DiscardCurve, ...], expected: dict[str, Any]) -> None:
    for curve, key in zip(curves, ("fmr_1e-2", "fmr_1e-3", "fmr_1e-4"), strict=True):
        golden = expected[key]
        np.testing.assert_allclose(curve.fnmr, golden["fnmr"], rtol=0, atol=1e-12)
        np.testing.assert_allclose(curve.threshold, golden["threshold"], rtol=0, atol=1e-12)
        assert curve.auc == pytest.approx(golden["auc"], abs=1e-12)
        assert curve.pauc[0.3] == pytest.approx(golden["pauc_0_to_0.3_derived"], abs=1e-12)
        assert curve.genuine.tolist() == expected["genuine_left"]
        assert curve.impostor.tolist() == expected["impostor_left"]


@pytest.mark.parametrize("method", ["GOOD", "RANDOM", "PFE"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("name", ["disjoint", "allpairs"])
def test_cr_fiqa_equals_the_published_code(golden: Golden, name: str, metric: Metric, method: str) -> None:
    comparisons, arrays = load(name, metric)
    expected = golden(f"erc/{name}")["results"][metric][method]
    curves = cr_fiqa_curves(comparisons, arrays[f"quality_{method}"], expected["lower_is_better"])
    assert_equals_golden(curves, expected)


def test_thresholds_equal_the_published_code(golden: Golden) -> None:
    for case in golden("erc/threshold_cases"):
        genuine, impostor = case["genuine_distance"], case["impostor_distance"]
        distance = np.array(genuine + impostor)
        order = np.argsort(distance, kind="stable")
        fnmr, threshold = nearest_thresholds(distance[order], order < len(genuine))
        np.testing.assert_allclose(fnmr, case["fnmr"], rtol=0, atol=1e-12, err_msg=case["why"])
        np.testing.assert_array_equal(threshold, case["threshold_fmr_1e-2_1e-3_1e-4"], case["why"])


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Any], list[float]]:
    images = draw(st.integers(2, 6))
    image = st.integers(0, images - 1)
    distance = st.integers(0, 12).map(lambda value: value / 12)
    row = st.tuples(image, image, st.booleans(), distance)
    pairs = draw(st.lists(row, min_size=2, max_size=40).filter(lambda p: len({s for *_, s, _ in p}) == 2))
    quality = draw(st.lists(st.integers(0, 3).map(float), min_size=images, max_size=images))
    return pairs, quality


def build(pairs: list[Any]) -> Comparisons:
    a, b, genuine, distance = zip(*pairs, strict=True)
    return Comparisons(np.array([a, b]).T, np.array(genuine), np.array(distance))


@given(problems(), st.booleans())
def test_cr_fiqa_equals_plain_loops(problem: tuple[list[Any], list[float]], reverse: bool) -> None:
    pairs, quality = problem
    for curve in cr_fiqa_curves(build(pairs), np.array(quality), reverse):
        expected = naive_cr_fiqa(pairs, quality, curve.fmr, reverse)
        np.testing.assert_allclose(curve.fnmr, expected, rtol=0, atol=1e-12)
        area = sum(0.05 * (a + b) / 2 for a, b in pairwise(expected))
        assert curve.auc == pytest.approx(area, abs=1e-12, nan_ok=True)
        part = sum(0.05 * (a + b) / 2 for a, b in pairwise(expected[:5]))
        assert curve.pauc[0.2] == pytest.approx(part, abs=1e-12, nan_ok=True)


@given(problems(), st.booleans())
def test_edc_equals_plain_loops(problem: tuple[list[Any], list[float]], lower: bool) -> None:
    pairs, quality = problem
    for curve in edc_curves(build(pairs), np.array(quality), lower):
        expected = naive_edc(pairs, quality, curve.fmr, lower)
        np.testing.assert_allclose(curve.discard, [x for x, _ in expected], rtol=0, atol=1e-12)
        np.testing.assert_allclose(curve.fnmr, [y for _, y in expected], rtol=0, atol=1e-12)
        for limit, area in {**curve.pauc, 1.0: curve.auc}.items():
            ends = [x for x, _ in expected[1:]] + [1.0]
            steps = [(x, min(end, limit), y) for (x, y), end in zip(expected, ends, strict=True) if x < limit]
            assert area == pytest.approx(sum(y * (end - x) for x, end, y in steps), abs=1e-12)


def test_edc_worked_by_hand() -> None:
    # Four genuine pairs; 200 impostors at 0.51, 0.52 ...: two may match at 1e-2, so 0.53 and above is a non-match.
    genuine = [(0.10, 0.9), (0.60, 0.1), (0.20, 0.5), (0.70, 0.5)]
    impostor = [0.51 + 0.01 * k for k in range(200)]
    pairs = np.array([[2 * k, 2 * k + 1] for k in range(4)] + [[0, 2]] * 200)
    quality = np.repeat([value for _, value in genuine], 2)
    distance = np.array([value for value, _ in genuine] + impostor)
    curve = edc_curves(Comparisons(pairs, np.arange(204) < 4, distance), quality)[0]
    assert curve.discard.tolist() == [0, 0.25, 0.75]
    assert curve.fnmr == pytest.approx([2 / 4, 1 / 3, 0])
    assert 0.52 < curve.threshold[0] < 0.53
    assert curve.pauc == pytest.approx({0.2: 0.2 * 0.5, 0.3: 0.25 * 0.5 + 0.05 / 3})
    assert curve.auc == pytest.approx(0.25 * 0.5 + 0.5 / 3)
    assert curve.at([0, 0.249, 0.25, 0.9]) == pytest.approx([0.5, 0.5, 1 / 3, 0])
    for outside in (-0.01, 1.01, math.nan):
        with pytest.raises(InputError, match="outside 0 to 1"):
            curve.at([0.5, outside])
    assert curve.notes == ("fewer than ten pairs at this FMR: its error rates are uncertain",)


def test_edc_counts_a_pair_at_the_threshold_as_a_match_unlike_cr_fiqa() -> None:
    pairs = np.array([[0, 1], [0, 2], [1, 2]])
    threshold = np.nextafter(0.5, 0)
    comparisons = Comparisons(pairs, np.array([True, False, False]), np.array([threshold, 0.5, 0.6]))
    edc = edc_curves(comparisons, np.ones(3))[0]
    cr_fiqa = cr_fiqa_curves(comparisons, np.ones(3))[0]
    assert edc.threshold[0] == cr_fiqa.threshold[0] == threshold
    assert (edc.fnmr[0], cr_fiqa.fnmr[0]) == (0, 1)


def test_edc_does_not_depend_on_the_order_of_the_list() -> None:
    comparisons, arrays = load("allpairs", "cosine")
    shuffled = np.random.default_rng(3).permutation(len(comparisons.genuine))
    other = Comparisons(*(getattr(comparisons, name)[shuffled] for name in ("pairs", "genuine", "distance")))
    quality = arrays["quality_GOOD"]
    for a, b in zip(edc_curves(comparisons, quality), edc_curves(other, quality), strict=True):
        np.testing.assert_array_equal(a.fnmr, b.fnmr)
        assert (a.auc, a.pauc) == (b.auc, b.pauc)


def test_protocols_tell_a_good_score_from_a_random_one() -> None:
    comparisons, arrays = load("allpairs", "cosine")
    for compute in (edc_curves, cr_fiqa_curves):
        good = compute(comparisons, arrays["quality_GOOD"])
        random = compute(comparisons, arrays["quality_RANDOM"])
        assert all(a.auc < 0.8 * b.auc for a, b in zip(good, random, strict=True))


def test_few_impostors_are_noted_and_none_left_is_not_available() -> None:
    # 20 genuine pairs of high quality, 1,100 impostors of rising quality that all go before them.
    pairs = np.repeat(np.arange(1120), 2).reshape(-1, 2)
    genuine = np.arange(1120) < 20
    quality = np.where(genuine, 1e6, np.arange(1120.0))
    curves = cr_fiqa_curves(Comparisons(pairs, genuine, np.linspace(0, 1, 1120)), quality)
    assert "fewer than ten pairs at this FMR from a discard of 0.10 on" in curves[0].notes[0]
    assert "fewer than ten pairs at this FMR:" in curves[1].notes[0]
    short = Comparisons(pairs[:100], genuine[:100], np.linspace(0, 1, 100))
    curve = cr_fiqa_curves(short, quality[:100])[0]
    assert np.isnan(curve.fnmr).tolist() == [fraction >= 0.8 for fraction in FRACTIONS]
    assert math.isnan(curve.auc) and math.isfinite(curve.pauc[0.3])
    assert "not available" in curve.notes[-1]
    data = json.loads(json.dumps(curve.as_json(), allow_nan=False))
    assert data["auc"] is None and data["fnmr"][-1] is None and data["pauc"]["0.3"] is not None


def test_equal_quality_is_one_point_with_a_note() -> None:
    comparisons, arrays = load("disjoint", "cosine")
    curve = edc_curves(comparisons, np.ones_like(arrays["quality_GOOD"]))[0]
    assert curve.fnmr.shape == (1,)
    assert curve.auc == curve.fnmr[0]
    assert "same quality" in curve.notes[0]


def test_json_holds_the_curve_and_its_conditions() -> None:
    comparisons, arrays = load("disjoint", "cosine")
    curve = edc_curves(comparisons, arrays["quality_GOOD"])[0]
    data = json.loads(json.dumps(curve.as_json(), allow_nan=False))
    assert data["protocol"] == "edc" and data["fmr"] == FMRS[0]
    assert (data["genuine"], data["impostor"]) == (600, 600)
    assert len(data["fnmr"]) == len(data["discard"]) == 20
    assert data["fnmr"][0] == curve.fnmr[0]
    assert "AUC" in repr(curve) and "600 genuine" in repr(comparisons)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_distances_do_not_depend_on_scale_or_chunks(metric: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((30, 7)).astype(np.float32)
    pairs = generator.integers(0, 30, (200, 2))
    unit = vectors / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    dot = np.sum(unit[pairs[:, 0]] * unit[pairs[:, 1]], axis=1)
    expected = np.arccos(np.clip(dot, -1, 1)) / np.pi if metric == "cosine" else 2 - 2 * dot
    distance = pair_distances(vectors, pairs, metric)
    np.testing.assert_allclose(distance, expected, rtol=0, atol=1e-7)
    np.testing.assert_allclose(pair_distances(vectors * 8, pairs, metric), distance, rtol=0, atol=1e-15)
    monkeypatch.setattr(comparisons, "CHUNK_BYTES", 1)
    np.testing.assert_array_equal(pair_distances(vectors, pairs, metric), distance)


PAIRS = np.array([[0, 1], [2, 3], [0, 2]])
GENUINE = np.array([True, False, False])
DISTANCE = np.array([0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("pairs", "genuine", "distance", "says"),
    [
        (PAIRS, GENUINE, DISTANCE * math.nan, "distance of pair 0"),
        (PAIRS, np.zeros(3, bool), DISTANCE, "no genuine pair"),
        (PAIRS, np.ones(3, bool), DISTANCE, "no impostor pair"),
        (PAIRS[:2], GENUINE, DISTANCE, "differ in number"),
        (PAIRS - 1, GENUINE, DISTANCE, "negative number"),
        (PAIRS[:0], GENUINE[:0], DISTANCE[:0], "no genuine pair"),
    ],
)
def test_pairs_that_give_no_curve_are_refused(pairs: Any, genuine: Any, distance: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Comparisons(pairs, genuine, distance)


@pytest.mark.parametrize("compute", [edc_curves, cr_fiqa_curves])
@pytest.mark.parametrize(
    ("quality", "says"), [([0.1, 0.2, math.nan, 0.4], "image 2"), ([0.1, 0.2, 0.3], "do not cover")]
)
def test_quality_that_does_not_fit_is_refused(compute: Any, quality: list[float], says: str) -> None:
    with pytest.raises(InputError, match=says):
        compute(Comparisons(PAIRS, GENUINE, DISTANCE), np.array(quality))


@pytest.mark.parametrize(
    ("embeddings", "says"),
    [
        (np.zeros((4, 3)), "embedding 0 .* zero"),
        (np.array([[1.0, 0], [0, 1], [math.nan, 1], [1, 1]]), "embedding 2"),
        (np.ones((3, 3)), "outside the 3 embeddings"),
        (np.ones(4), "one vector per image"),
    ],
)
def test_embeddings_that_cannot_be_compared_are_refused(embeddings: Any, says: str) -> None:
    with pytest.raises(InputError, match=says):
        pair_distances(embeddings, PAIRS)


MILLION = """
import json
import numpy as np
from fiqa_evaluation.discard.comparisons import Comparisons, Metric, pair_distances
from fiqa_evaluation.discard.curves import cr_fiqa_curves, edc_curves
generator = np.random.default_rng(0)
embeddings = generator.standard_normal((20_000, 128), dtype=np.float32)
pairs = generator.integers(0, 20_000, (1_000_000, 2))
genuine = generator.random(1_000_000) < 0.3
quality = generator.random(20_000).round(3)
comparisons = Comparisons(pairs, genuine, pair_distances(embeddings, pairs))
curves = cr_fiqa_curves(comparisons, quality) + edc_curves(comparisons, quality)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps([int(peak.split()[1]) / 2**20, [curve.auc for curve in curves]]))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc (Linux)")
def test_a_million_pairs_come_to_an_end_in_bounded_memory() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", MILLION]
    done = subprocess.run(command, capture_output=True, check=True, env=environment, text=True, timeout=HANGS)
    gibibytes, areas = json.loads(done.stdout)
    assert gibibytes < 1
    assert all(0 < area < 1 for area in areas)

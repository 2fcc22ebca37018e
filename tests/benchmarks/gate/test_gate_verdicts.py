"""What the gate says of one run beside another: which times can be compared, what is broken, what is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fiqa_benchmarks.contenders.peers import Contender
from fiqa_benchmarks.gate.baseline import Baseline
from fiqa_benchmarks.gate.gate import Check, Gate
from fiqa_benchmarks.speed.bench import NETWORK, BatchResult, Loaded, Result
from fiqa_benchmarks.speed.latency import Ratio, Timing
from fiqa_benchmarks.speed.memory import Footprint
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.errors import InputError, UnsupportedError

HERE = {"cpu": "CPU A", "usable_cores": 2.0}


def old(**changes: Any) -> Baseline:
    values: dict[str, Any] = {
        "path": Path("old/bench.json"),
        "name": "old.onnx",
        "model": "ediffiqa-t",
        "engine": "engines/old.onnx",
        "files": {"old.onnx": "a"},
        "file_bytes": 100,
        "scores": {str(index): index / 10 for index in range(10)},
        "medians_ms": {1: 100.0},
        "backend": {"name": "opencv", "version": "5"},
        "cpu": "CPU A",
        "cores": 2.0,
        "threads": 1,
        "images": "seeded",
    }
    return Baseline(**{**values, **changes})


def new(engine: Path, seconds: float = 0.15, name: str = "new.onnx", **changes: Any) -> Result:
    timing = Timing(((seconds, seconds),))
    batch = BatchResult({NETWORK: timing}, {}, Ratio(1, 1, 1), None)
    loaded = Loaded(read_card(engine), {"name": "opencv", "version": "5"}, Footprint(0, {}), {"new.onnx": "b"}, 150)
    values: dict[str, Any] = {"loaded": loaded, "batches": {1: batch}, "scores": old().scores}
    return Result(Contender(name, name, "opencv"), **{**values, **changes})


def judged(baseline: Baseline, key: str, limit: float, *results: Result, here: Any = HERE) -> Check:
    opponents = tuple(result.contender for result in results[1:])
    gate = Gate(baseline, Path("budget.toml"), {key: limit}, None, opponents)
    (check,) = gate.judge(results, here, 1).checks
    return check


def test_times_of_the_old_engine_measured_now_win_over_the_document(seeded_engine: Path) -> None:
    rival = new(seeded_engine, 0.05, "baseline old.onnx")
    check = judged(old(), "latency_ratio", 2, new(seeded_engine), rival)
    assert check.value == pytest.approx(3) and not check.passed and "in turns" in check.note


def test_an_old_engine_that_does_not_run_leaves_the_time_unchecked(seeded_engine: Path) -> None:
    rival = Result(Contender("baseline", "old.onnx", "opencv"), error=UnsupportedError("no such operator"))
    check = judged(old(), "latency_ratio", 100, new(seeded_engine), rival)
    assert check.value is None and not check.passed and "no such operator" in str(check)


def test_medians_of_the_document_serve_on_an_equal_machine(seeded_engine: Path) -> None:
    check = judged(old(), "latency_ratio", 1.5, new(seeded_engine))
    assert check.value == pytest.approx(1.5) and check.passed and "two runs" in check.note


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"cpu": "CPU B"}, "CPU CPU B, not CPU A"),
        ({"cores": 8.0}, "cores 8.0, not 2.0"),
        ({"backend": {"name": "opencv", "version": "4"}}, "backend opencv 4, not opencv 5"),
        ({"threads": None}, "threads None, not 1"),
        ({"medians_ms": {8: 1.0}}, "no time for batch 1"),
    ],
)
def test_times_of_another_machine_are_not_checked_and_count_as_broken(
    seeded_engine: Path, changes: dict[str, Any], reason: str
) -> None:
    check = judged(old(**changes), "latency_ratio", 100, new(seeded_engine))
    assert check.value is None and not check.passed
    assert reason in str(check) and "put its old.onnx beside old/bench.json" in str(check)


@pytest.mark.parametrize(
    ("key", "limit", "passed"),
    [("bytes_ratio", 1.5, True), ("bytes_ratio", 1.49, False), ("max_abs", 0.01, False), ("max_abs", 0.051, True)],
)
def test_sizes_and_differences(seeded_engine: Path, key: str, limit: float, passed: bool) -> None:
    moved = {**old().scores, "9": 0.95}
    assert judged(old(), key, limit, new(seeded_engine, scores=moved)).passed is passed


def test_flips_are_the_worst_of_all_shares(seeded_engine: Path) -> None:
    moved = {**old().scores, "2": 0.05}
    check = judged(old(), "flips", 0.05, new(seeded_engine, scores=moved))
    assert (check.value, check.passed) == (0.1, False)


def test_scores_are_matched_by_image_and_not_by_place(seeded_engine: Path) -> None:
    turned = dict(reversed(list(old().scores.items())))
    assert judged(old(), "srcc", 1, new(seeded_engine, scores=turned)).passed


def test_constant_scores_break_the_correlation(seeded_engine: Path) -> None:
    check = judged(old(), "srcc", -1, new(seeded_engine, scores=dict.fromkeys(old().scores, 0.5)))
    assert str(check) == "srcc is not known: undefined, scores are constant" and not check.passed


def test_networks_without_a_score_have_no_gate(seeded_engine: Path) -> None:
    with pytest.raises(InputError, match="gives no quality scores"):
        judged(old(), "bytes_ratio", 2, new(seeded_engine, scores=None))

"""Which backend `auto` is, why, for how long that is remembered, and when `fast` arithmetic is refused."""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from fiqa_runtime.artefact.card import Card, read_card
from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.errors import CardError, DependencyError, InputError, VerdictError
from fiqa_runtime.scoring import choice
from fiqa_runtime.scoring.canaries import tolerance
from fiqa_runtime.scoring.choice import decide
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.trial import Trial, try_backend
from fiqa_runtime.system import outcomes

from tests.help.commands import Invoke

EXACT: CpuPrecision = "exact"
FAST: CpuPrecision = "fast"
MOVED = 0.25
"""How far `fast` moves the canaries on the machine of :class:`Bench`."""


@pytest.fixture()
def untried_backends() -> None:
    """Here backends are tried."""


@dataclass
class Bench:
    """Stands for the trials of this machine."""

    milliseconds: dict[str, float]
    opening: dict[str, float] = field(default_factory=dict)
    wrong: set[str] = field(default_factory=set)
    crashing: set[str] = field(default_factory=set)
    tried: list[str] = field(default_factory=list)

    def __call__(self, backend: str, artefact: Path, threads: int | None, precision: str, device: str) -> Trial:
        self.tried.append(backend)
        if backend in self.crashing:
            return Trial(backend, False, "was killed by signal 11")
        fast = ("bfloat16", {"score": MOVED}) if precision == "fast" else ("float32", {})
        times = self.milliseconds[backend], *fast, self.opening.get(backend)
        return Trial(backend, backend not in self.wrong, "self-test", *times)


@pytest.fixture()
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    bench = Bench({"onnxruntime": 3, "openvino": 2, "opencv": 1})
    monkeypatch.setattr(choice, "try_backend", bench)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return bench


@pytest.fixture()
def card(seeded_engine: Path) -> Card:
    """Of a file `x.onnx` that is not there."""
    return replace(read_card(seeded_engine), files={"x.onnx": "its hash"})


def test_the_fastest_is_taken_and_remembered(bench: Bench, card: Card, tmp_path: Path) -> None:
    first = decide("auto", Path("x.onnx"), card)
    assert first.backend == "opencv"
    assert [trial.backend for trial in first.trials] == ["opencv", "openvino", "onnxruntime"]
    assert "measured now, remembered in" in first.note
    again = decide("auto", Path("x.onnx"), card)
    assert (again.backend, again.trials) == (first.backend, first.trials)
    assert again.note.startswith(f"remembered in {tmp_path}")
    assert sorted(bench.tried) == sorted(ONNX_BACKENDS)


def test_of_few_images_the_time_to_open_counts_too(bench: Bench, card: Card) -> None:
    bench.opening = {"onnxruntime": 20, "openvino": 5, "opencv": 12}
    few = [decide("auto", Path("x.onnx"), card, images=images) for images in (1, 8, 10, 11, None)]
    assert [found.backend for found in few] == ["openvino", "opencv", "opencv", "opencv", "opencv"]
    assert [found.soonest for found in few] == [True, False, False, False, False]
    assert (
        few[0].why == "of 3 that give the canaries' values, it opens and scores 1 soonest; for many, opencv is faster"
    )
    assert len(bench.tried) == 3, "one outcome answers both questions"


def test_a_backend_that_opens_soonest_and_is_wrong_is_not_taken(bench: Bench, card: Card) -> None:
    bench.opening, bench.wrong = {"onnxruntime": 20, "openvino": 5, "opencv": 12}, {"openvino"}
    assert decide("auto", Path("x.onnx"), card, images=1).backend == "opencv"


def test_outcomes_without_the_time_to_open_go_by_speed(bench: Bench, card: Card) -> None:
    bench.opening = {"onnxruntime": 20, "openvino": 5}
    found = decide("auto", Path("x.onnx"), card, images=1)
    assert (found.backend, found.soonest) == ("opencv", False)


def test_a_fast_backend_with_wrong_scores_is_not_taken(bench: Bench, card: Card) -> None:
    bench.wrong, bench.crashing = {"opencv"}, {"openvino"}
    found = decide("auto", Path("x.onnx"), card)
    assert found.backend == "onnxruntime"
    assert "openvino: did not run; was killed by signal 11" in "\n".join(found.lines())


def test_no_backend_with_right_scores_is_a_verdict(bench: Bench, card: Card) -> None:
    bench.wrong = set(ONNX_BACKENDS)
    with pytest.raises(VerdictError, match=r"no backend gives the canaries of x\.onnx .*export it again") as caught:
        decide("auto", Path("x.onnx"), card)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["threads", "precision", "card", "cpu", "version", "cores"])
def test_another_question_is_tried_anew(
    bench: Bench, card: Card, seeded_engine: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    decide("auto", Path("x.onnx"), card)
    bench.tried.clear()
    threads: int | None = None
    precision: CpuPrecision = "exact"
    if change == "threads":
        threads = 1
    elif change == "precision":
        precision = "fast"
    elif change == "card":
        card = Card.from_json(card.to_json().replace('"max_batch": 32', '"max_batch": 31'), "test")
    elif change == "cpu":
        monkeypatch.setattr(outcomes, "cpu_model", lambda: "another")
    elif change == "cores":
        monkeypatch.setattr(outcomes, "usable_cores", lambda groups: 0.5)
    else:
        monkeypatch.setattr(outcomes, "installed_versions", lambda packages: {"openvino": "0"})
    decide("auto", Path("x.onnx"), card, threads, precision)
    assert sorted(bench.tried) == sorted(ONNX_BACKENDS)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"question": {}, "answer": [{}]}', b"\xff"])
def test_a_damaged_memory_is_measured_again(bench: Bench, card: Card, tmp_path: Path, content: bytes) -> None:
    decide("auto", Path("x.onnx"), card)
    for file in (tmp_path / "cache/fiqa-edge/backends").iterdir():
        file.write_bytes(content)
    bench.tried.clear()
    assert decide("auto", Path("x.onnx"), card).backend == "opencv"
    assert sorted(bench.tried) == sorted(ONNX_BACKENDS)
    bench.tried.clear()
    decide("auto", Path("x.onnx"), card)
    assert not bench.tried, "the memory is whole again"


def test_a_cache_that_cannot_be_written_is_said(bench: Bench, card: Card, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    found = decide("auto", Path("x.onnx"), card)
    assert found.backend == "opencv"
    assert found.note.startswith("measured now, and again next time")


def test_a_cache_that_cannot_be_looked_into_is_measured_again(
    bench: Bench, card: Card, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stat = os.stat

    def forbidden(path: Any, **options: Any) -> os.stat_result:
        if str(path).startswith(str(tmp_path / "cache/fiqa-edge/backends/")):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", forbidden)
    assert decide("auto", Path("x.onnx"), card).backend == "opencv"


def test_nothing_is_tried_where_nothing_is_to_choose(bench: Bench, card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    assert decide("openvino", Path("x.onnx"), card).lines() == ["backend openvino on cpu: named"]
    blind = replace(card, canaries=())
    assert "no canaries" in decide("auto", Path("x.onnx"), blind).why
    with pytest.raises(CardError, match="no canaries"):
        decide("auto", Path("x.onnx"), blind, precision="fast")
    monkeypatch.setattr(choice, "available", lambda: ["opencv"])
    assert decide("auto", Path("x.onnx"), card).why == "the only one installed"
    assert bench.tried == []


def test_a_named_backend_is_never_replaced(bench: Bench, card: Card, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.wrong = {"openvino"}
    with pytest.raises(VerdictError, match=r"fast is refused for x\.onnx on openvino: 2\.00 ms.*use exact"):
        decide("openvino", Path("x.onnx"), card, precision="fast")
    assert bench.tried == ["openvino"]
    with pytest.raises(InputError, match="unknown backend 'caffe'"):
        decide("caffe", Path("x.onnx"), card)
    monkeypatch.setitem(ONNX_BACKENDS, "openvino", "not_installed_here")
    with pytest.raises(DependencyError, match=r"fiqa-edge\[openvino\]"):
        decide("openvino", Path("x.onnx"), card)


def test_canaries_may_be_as_far_off_as_fast_was_when_it_was_judged(bench: Bench, seeded_engine: Path) -> None:
    limit = tolerance(read_card(seeded_engine))["score"]
    for precision, more in ((EXACT, 0.0), (FAST, MOVED)):
        for backend in ("opencv", "auto"):
            with Scorer(seeded_engine, backend, cpu_precision=precision) as scorer:
                assert scorer.canary_limits == {"score": pytest.approx(limit + more)}


@pytest.mark.parametrize("precision", [EXACT, FAST])
def test_a_backend_is_tried_in_a_process_of_its_own(seeded_engine: Path, precision: CpuPrecision) -> None:
    trial = try_backend("openvino", seeded_engine, 1, precision)
    assert trial.milliseconds is not None and trial.milliseconds > 0
    if trial.arithmetic == "float32":
        assert trial.passed and "self-test passed on 4 canaries" in trial.verdict
        assert trial.moved == {}
    else:
        assert precision == FAST and trial.arithmetic in ("bfloat16", "float16")
        assert f"is {'kept' if trial.passed else 'NOT kept'} on " in trial.verdict
        assert 0 < trial.moved["score"] < 1


def test_what_lies_in_the_working_folder_is_not_imported(
    seeded_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "random.py").write_text("raise ImportError('of the user')")
    monkeypatch.chdir(tmp_path)
    assert try_backend("opencv", seeded_engine.resolve(), 1, "exact").passed


def test_a_card_inside_the_file_does_not_answer_for_another_file(bench: Bench, card: Card, tmp_path: Path) -> None:
    inside = replace(card, files={})
    for name in ("good", "spoilt"):
        path = tmp_path / f"{name}.onnx"
        path.write_text(name)
        bench.tried.clear()
        decide("auto", path, inside)
        assert len(bench.tried) == len(ONNX_BACKENDS)


def test_no_success_is_not_remembered(bench: Bench, card: Card) -> None:
    bench.wrong |= {"onnxruntime", "openvino", "opencv"}
    with pytest.raises(VerdictError):
        decide("auto", Path("x.onnx"), card)
    bench.wrong.clear()
    assert decide("auto", Path("x.onnx"), card).backend == "opencv"


def test_a_backend_that_crashes_or_refuses_is_a_failed_trial(
    seeded_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = try_backend("opencv", tmp_path / "none.onnx", 1, "exact")
    assert not refused.passed
    assert refused.milliseconds is None
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nkill -SEGV $$\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    assert try_backend("opencv", seeded_engine, 1, "exact") == Trial("opencv", False, "was killed by signal 11")


def test_explain(bench: Bench, score: Invoke, seeded_engine: Path) -> None:
    shown = score("--engine", seeded_engine, "--explain")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert lines[0] == "backend opencv on cpu: the fastest of 3 that give the canaries' values"
    assert lines[1].startswith("  opencv: 1.00 ms, float32")
    document = json.loads(score("--engine", seeded_engine, "--explain", "--json", "-").out)
    assert document["backend"] == "opencv"
    assert [trial["backend"] for trial in document["trials"]] == ["opencv", "openvino", "onnxruntime"]


def test_fast_that_loses_the_ranking_is_refused_in_one_line(bench: Bench, score: Invoke, seeded_engine: Path) -> None:
    bench.wrong = {"onnxruntime"}
    result = score("--engine", seeded_engine, "--backend", "onnxruntime", "--cpu-precision", "fast", "--self-test")
    assert result.code == 3
    assert "fast is refused" in result.err
    assert "\n" not in result.err.strip()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("--cpu-precision", "half"), ("unknown CPU precision 'half'", "exact or fast")),
        (("--aligned", "--streams", "2", "{image}"), ("--aligned makes no use of --streams", "leave it out")),
        (("--longest-side", "20", "{image}"), ("longest side of 20 px", "choose 64 or more")),
    ],
)
def test_bad_options(
    score: Invoke, seeded_engine: Path, images_dir: Path, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    image = images_dir / "skimage/astronaut.png"
    result = score("--engine", seeded_engine, *(a.format(image=image) for a in arguments), "--backend", "opencv")
    assert result.is_one_line(*parts), result

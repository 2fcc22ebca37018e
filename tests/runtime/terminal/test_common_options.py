"""What every command has: a version, a voice, an example in its help, and one line for an option that is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fiqa_benchmarks.cli import main as bench
from fiqa_evaluation.cli import main as evaluate
from fiqa_export.cli import main as export
from fiqa_runtime.cli import main as score

from tests.help.commands import Invoke, invoker

MAINS = {"fiqa-score": score, "fiqa-export": export, "fiqa-bench": bench}


@pytest.fixture(params=MAINS)
def command(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Invoke:
    return invoker(MAINS[request.param], capsys, monkeypatch)


def test_version(command: Invoke) -> None:
    shown = command("--version")
    assert shown.code == 0 and re.fullmatch(r"fiqa-edge \S+, Python 3\.\S+\n", shown.out)


def test_the_help_has_panels_an_example_and_completion(command: Invoke) -> None:
    text = command("--help").out
    assert text.count("\u256d\u2500") >= 5, "a panel for each group of options"
    assert "Example: fiqa-" in text and "--install-completion" in text


@pytest.mark.parametrize("wrong", [("--nope",), ("--threads=x",), ("--json",), ("-Z",)])
def test_a_wrong_option_is_one_line(command: Invoke, wrong: tuple[str, ...]) -> None:
    assert command(*wrong).is_one_line("--help shows what it takes"), wrong


@pytest.fixture
def scores(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    return invoker(score, capsys, monkeypatch)


def test_quiet_and_verbose(scores: Invoke, seeded_engine: Path, crops: list[Path]) -> None:
    arguments = (crops[0], "--engine", seeded_engine, "--backend", "onnxruntime", "--aligned")
    usual, quiet, verbose = (scores(*arguments, *voice) for voice in ((), ("-q",), ("-v",)))
    assert quiet.out == usual.out == verbose.out
    assert not quiet.err and usual.err and f"engine {seeded_engine}" in verbose.err
    assert scores("nowhere.png", *arguments[1:], "-q").is_one_line("nowhere.png"), "errors are told all the same"


@pytest.fixture
def evaluation(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    return invoker(evaluate, capsys, monkeypatch)


STEPS = ("prepare", "embed", "score", "discard", "opinions", "distributions", "run")


def test_steps_have_panels_and_an_example_each(evaluation: Invoke) -> None:
    text = evaluation("--help").out
    assert all(step in text for step in STEPS) and "--install-completion" in text
    for step in STEPS:
        shown = evaluation(step, "--help").out
        assert shown.count("\u256d\u2500") >= 3 and f"Example: fiqa-eval {step}" in shown, step
        assert evaluation(step, "--nope").is_one_line("--help shows what it takes"), step
    assert re.fullmatch(r"fiqa-edge \S+, Python 3\.\S+\n", evaluation("--version").out)
    assert evaluation("plot").is_one_line("plot")

"""Random command lines: exit code 0, 2 or 3, and never a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import fiqa_benchmarks.cli
import fiqa_evaluation.cli
import fiqa_export.cli
import fiqa_runtime.cli
import fiqa_runtime.watch_cli
import pytest
from fiqa_runtime.images.seeded import seeded_image
from hypothesis import given
from hypothesis import strategies as st

from docs.generate.commands import subcommands
from tests.fuzz.damage import OUTCOMES, cases, in_time
from tests.help.commands import Outcome, invoker

MAINS = {
    "score": fiqa_runtime.cli,
    "watch": fiqa_runtime.watch_cli,
    "export": fiqa_export.cli,
    "bench": fiqa_benchmarks.cli,
    "eval": fiqa_evaluation.cli,
}
STEPS = sorted(subcommands("fiqa-eval"))
OPTIONS = {
    name: sorted({o for each in subcommands(f"fiqa-{name}").values() for p in each.params for o in p.opts})
    for name in MAINS
}
ODD = ("-", "-1", "0", "1", "2", "1e999", "nan", "x" * 5000, "\udcff.png", "\x1b[31m", "[red]", "é", "1,8")
FILES = ("a.png", "b.png", "none.png", "../a.png", "text.txt", ".", "/dev/null", "out.json", "out.csv", "ENGINE")
WORDS = ("seeded", "official", "auto", "opencv", "onnxruntime", "yunet", "edc", "exact", "fast")
VALUES = st.sampled_from((*ODD, *FILES, *WORDS)) | st.text(st.characters(exclude_characters="\x00"), max_size=8)
HEAVY = {"--install-completion", "--show-completion", "--doctor", "--pipeline", "--streams", "--watch", "--show"}
"""Options that take minutes, change the shell or are tried elsewhere."""


def lines(command: str) -> st.SearchStrategy[list[str]]:
    options = [option for option in OPTIONS[command] if option.startswith("-") and option not in HEAVY]
    word = st.sampled_from(options) | VALUES
    return st.lists(word, max_size=8)


@given(command=st.sampled_from(sorted(MAINS)), data=st.data())
@cases("commands")
def test_command_lines(
    seeded_engine: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    data: st.DataObject,
) -> None:
    words: list[Any] = data.draw(lines(command))
    for name in ("a.png", "b.png"):
        cv2.imwrite(name, seeded_image(0, 112, 112))
    Path("text.txt").write_text("no picture")
    words = [str(seeded_engine) if word == "ENGINE" else word for word in words]
    if command == "score" and data.draw(st.booleans()):
        words = ["--engine", str(seeded_engine), "--backend", "onnxruntime", *words]
    if command == "eval":
        words = [data.draw(st.sampled_from(STEPS)), *words]
    outcome = _run(command, words, capsys, monkeypatch)
    assert outcome.code in (0, 2, 3), outcome
    assert "Traceback" not in outcome.err
    if outcome.code:
        assert outcome.err.strip(), "a command that fails says why"
    OUTCOMES["done" if outcome.code == 0 else "refused in one line"] += 1


def _run(
    command: str, words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Outcome:
    with in_time():
        return invoker(MAINS[command].main, capsys, monkeypatch)(*words)

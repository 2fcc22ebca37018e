"""What ``fiqa-score`` tells about an engine without any image: whether it gives the right values here, and where it
runs."""

from __future__ import annotations

import sys

from fiqa_runtime.command.settings import EngineSettings
from fiqa_runtime.errors import VerdictError
from fiqa_runtime.scoring.agreement import json_number
from fiqa_runtime.scoring.selftest import self_test
from fiqa_runtime.system.files import sha256_of
from fiqa_runtime.terminal.outputs import write_json


def show_self_test(engine: EngineSettings, json: str | None) -> None:
    """``--self-test``: re-score the card's canaries; raises VerdictError where they are too far off."""
    with engine.open() as scorer:
        result, path = self_test(scorer), scorer.path
    if json:
        largest = {name: json_number(value) for name, value in result.largest.items()}
        told = {"engine": str(path), "sha256": sha256_of(path), "passed": result.passed, "images": result.images}
        write_json({**told, "max_abs": largest}, json, "fiqa-score-self-test.v1")
    if not result.passed:
        raise VerdictError(f"{result}; export the artefact again on this machine, or choose another --backend")
    if not json:
        sys.stdout.write(f"{result}\n")


def show_choice(engine: EngineSettings, json: str | None) -> None:
    """``--explain``: say which backend is used here, and why."""
    with engine.open() as scorer:
        path, choice = scorer.path, scorer.choice
    assert choice
    if json:
        told = {"engine": str(path), "sha256": sha256_of(path), **choice.as_json()}
        write_json(told, json, "fiqa-score-explain.v1")
    else:
        sys.stdout.writelines(f"{line}\n" for line in choice.lines())

"""What ``fiqa-score`` tells about an engine without any image: whether it gives the right values here, and where it
runs."""

from __future__ import annotations

import sys

from fiqa_runtime.command.settings import EngineSettings
from fiqa_runtime.errors import VerdictError
from fiqa_runtime.scoring.agreement import json_number
from fiqa_runtime.scoring.selftest import self_test
from fiqa_runtime.terminal.outputs import write_json


def show_self_test(engine: EngineSettings, json: str | None) -> None:
    """``--self-test``: re-score the card's canaries; raises VerdictError where they are too far off."""
    with engine.open() as scorer:
        result = self_test(scorer)
    if json:
        largest = {name: json_number(value) for name, value in result.largest.items()}
        write_json({"passed": result.passed, "images": result.images, "max_abs": largest}, json)
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
        write_json({"engine": str(path), **choice.as_json()}, json)
    else:
        sys.stdout.writelines(f"{line}\n" for line in choice.lines())

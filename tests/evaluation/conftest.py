"""Fixtures that every room of the evaluation shares."""

from __future__ import annotations

import pytest

from tests.help.commands import Invoke, invoker


@pytest.fixture()
def evaluate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """`fiqa-eval`, as typed."""
    import fiqa_evaluation.cli

    return invoker(fiqa_evaluation.cli.main, capsys, monkeypatch)

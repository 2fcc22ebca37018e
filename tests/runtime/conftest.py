"""Fixtures that every room of the runtime shares."""

from __future__ import annotations

import pytest

from tests.help.commands import Invoke, invoker


@pytest.fixture()
def score(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """`fiqa-score`, as typed."""
    import fiqa_runtime.cli

    return invoker(fiqa_runtime.cli.main, capsys, monkeypatch)

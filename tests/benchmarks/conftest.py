"""Fixtures that every room of the benchmarks shares."""

from __future__ import annotations

import pytest

from tests.help.commands import Invoke, invoker


@pytest.fixture()
def bench(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """`fiqa-bench`, as typed."""
    import fiqa_benchmarks.cli

    return invoker(fiqa_benchmarks.cli.main, capsys, monkeypatch)

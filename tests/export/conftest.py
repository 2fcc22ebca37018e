"""Fixtures that every room of the exporter shares."""

from __future__ import annotations

import pytest

from tests.help.commands import Invoke, invoker


@pytest.fixture()
def export(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """`fiqa-export`, as typed."""
    import fiqa_export.cli

    return invoker(fiqa_export.cli.main, capsys, monkeypatch)

"""Fixtures of the tests of the documentation: the commands, as typed."""

from __future__ import annotations

from importlib import import_module

import pytest

from docs.generate.commands import COMMANDS
from tests.help.commands import Invoke, invoker


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Invoke]:
    """By name: each command, run in this process."""
    return {name: invoker(import_module(module).main, capsys, monkeypatch) for name, module in COMMANDS.items()}

"""Fixtures of the tests of the documentation: the commands, as typed, and documents against schemas."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from docs.generate.commands import COMMANDS
from docs.generate.documents import DOCUMENTS
from docs.generate.schemas import schema_of
from tests.help.commands import Invoke, invoker

Check = Callable[[str, Any], None]
ENGINE_ON_ONE_THREAD = ("--backend", "onnxruntime", "--threads", "1")


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Invoke]:
    """By name: each command, run in this process."""
    return {name: invoker(import_module(module).main, capsys, monkeypatch) for name, module in COMMANDS.items()}


@pytest.fixture(scope="session")
def check() -> Check:
    """Holds a document against the closed schema of its kind, and against the file that users have."""

    def validate(kind: str, document: Any) -> None:
        for closed in (True, False):
            schema = schema_of(DOCUMENTS[kind], closed)
            Draft202012Validator.check_schema(schema)
            errors = Draft202012Validator(schema).iter_errors(document)
            wrong = [f"{error.json_path}: {error.message[:200]}" for error in errors]
            assert not wrong

    return validate

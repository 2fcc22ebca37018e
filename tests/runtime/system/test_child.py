"""Processes of our own: nothing of the working folder runs in them, and without a Python there is one line."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
from fiqa_runtime.errors import DependencyError
from fiqa_runtime.scoring import trial
from fiqa_runtime.scoring.trial import Trial, try_backend
from fiqa_runtime.system.child import last_line, run_module


def test_nothing_of_the_working_folder_is_imported(
    seeded_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "numpy", "fiqa_runtime", "importlib"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('planted')\n")
    monkeypatch.chdir(tmp_path)
    result = run_module("fiqa_runtime.cli", "--self-test", "--engine", str(seeded_engine), "--backend", "onnxruntime")
    assert result.returncode == 0, result.stderr
    assert "passed" in result.stdout
    assert "planted" not in result.stderr
    assert try_backend("onnxruntime", seeded_engine, 1, "exact").passed


@pytest.mark.skipif(os.name != "posix", reason="needs a shell script as a program")
def test_a_trial_that_does_not_end_is_a_failed_one(
    seeded_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))
    monkeypatch.setattr(trial, "SECONDS", 0.5)
    assert try_backend("openvino", seeded_engine, 1, "exact") == Trial("openvino", False, "did not end within 0.5 s")


def test_what_a_process_says_last_is_told() -> None:
    result = run_module("fiqa_runtime.cli", "--engine", "nowhere.onnx", "--self-test")
    assert result.returncode == 2
    assert last_line(result).startswith("error: no artefact at nowhere.onnx")


@pytest.mark.parametrize("executable", ["", None, "/nowhere/python"])
def test_no_python_is_one_line(executable: str | None, seeded_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(DependencyError, match=r"does not start Python, .*; set sys.executable to a Python, or name"):
        try_backend("onnxruntime", seeded_engine, 1, "exact")


@pytest.mark.skipif(os.name != "posix", reason="needs a shell script as a program")
def test_a_program_that_is_not_python_is_one_line(
    seeded_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a frozen program, which starts itself and prints what it likes."""
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(DependencyError, match=r"program is not a Python that can try backends"):
        try_backend("onnxruntime", seeded_engine, 1, "exact")

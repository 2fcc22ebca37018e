"""The commands on a machine without OpenCV, with half of one, or without libGL: one line that says what to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = ("score", "export", "bench", "evaluate")
BROKEN = {
    "absent": "raise ModuleNotFoundError(\"No module named 'cv2'\", name='cv2')",
    "without libGL": "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')",
    "removed by half": "raise ImportError(\"cannot import name 'imdecode' from 'cv2'\\n(unknown location)\")",
}


@pytest.mark.parametrize("state", BROKEN)
@pytest.mark.parametrize("command", COMMANDS)
def test_one_line_says_which_package_to_install(command: str, state: str, tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text(BROKEN[state])
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from fiqa_runtime.entry import {command}; {command}()"
    result = subprocess.run([sys.executable, "-c", code, "x.png"], capture_output=True, text=True)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert "fiqa-edge[headless]" in line


def test_another_package_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise ModuleNotFoundError(\"No module named 'click'\", name='click')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from fiqa_runtime.entry import score; score()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 2
    assert "a package is missing or broken (No module named 'click')" in result.stderr


def test_the_command_runs_where_all_is_there() -> None:
    code = "from fiqa_runtime.entry import score; score()"
    result = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True)
    assert result.returncode == 0
    assert "--engine" in result.stdout

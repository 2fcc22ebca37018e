"""Nothing of the working folder is executed, and the lock and its target are what they say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.help.places import ROOT

PLANTED = ("json", "numpy", "cv2", "site", "typer", "onnx", "torch", "importlib", "subprocess", "encodings")
OF_MULTIPROCESSING = ("pickle", "socket", "selectors", "multiprocessing")
LINES: dict[str, tuple[str, ...]] = {
    "help": ("fiqa-score", "--help"),
    "self-test": ("fiqa-score", "--engine", "ENGINE", "--self-test"),
    "score": ("fiqa-score", "crop.png", "--aligned", "--engine", "ENGINE", "--csv", "s.csv"),
    "workers": ("fiqa-score", "crop.png", "--aligned", "--engine", "ENGINE", "--csv", "s.csv", "--workers", "2"),
    "list": ("fiqa-export", "--list"),
    "doctor": ("fiqa-export", "--doctor"),
    "export": ("fiqa-export", "ediffiqa-t", "--weights", "seeded", "--out", "out"),
    "bench": ("fiqa-bench", "--engine", "ENGINE", "--batch", "1", "--rounds", "2", "--backend", "onnxruntime"),
}


@pytest.mark.parametrize("line", LINES)
def test_nothing_of_the_working_folder_is_executed(
    line: str, seeded_engine: Path, tmp_path: Path, machine_of_a_stranger: Mapping[str, str]
) -> None:
    """Backends are tried in processes of their own, as is the machine for the doctor."""
    program = Path(sys.executable).with_name(LINES[line][0])
    if not program.is_file():
        pytest.skip("the commands are not installed beside this Python")
    mark = tmp_path / "executed"
    for name in (*PLANTED, *OF_MULTIPROCESSING):
        (tmp_path / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write(__name__)\n")
    (tmp_path / "fiqa_runtime").mkdir()
    (tmp_path / "fiqa_runtime/__init__.py").write_text(f"open({str(mark)!r}, 'a').write(__name__)\n")
    (tmp_path / "crop.png").write_bytes((ROOT / "runtime/fiqa_runtime/images/portrait.png").read_bytes())
    words = [str(seeded_engine) if word == "ENGINE" else word for word in LINES[line][1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run([program, *words], cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert not mark.exists(), mark.read_text()
    assert "Traceback" not in result.stderr
    assert result.returncode in ((0, 2) if line == "doctor" else (0,)), result.stderr


def test_the_lock_has_a_hash_for_every_package() -> None:
    lines = [line for line in (ROOT / "requirements.lock").read_text("utf-8").splitlines() if not line.startswith("#")]
    assert len(lines) > 50
    assert all(re.fullmatch(r"[a-z0-9._-]+==\S+ --hash=sha256:[0-9a-f]{64}", line) for line in lines), lines


def test_the_lock_agrees_with_the_constraints() -> None:
    """Both name the same versions, so that what is audited is what is tested."""
    locked = dict(
        line.split(" ")[0].split("==")
        for line in (ROOT / "requirements.lock").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    )
    text = (ROOT / "constraints.txt").read_text("utf-8")
    pinned = dict(line.split("==") for line in text.splitlines() if "==" in line and not line.startswith("#"))
    apart = {
        name: (version, locked[name])
        for name, version in pinned.items()
        if locked.get(name, version).split("+")[0] != version
    }
    assert not apart

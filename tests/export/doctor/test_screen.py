"""What the doctor shows, and how it asks this machine and a driver library without a GPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fiqa_export.doctor.checks import NEEDED_FLAVOURS, judge_facts
from fiqa_export.doctor.facts import EXPORT_PACKAGES
from fiqa_export.doctor.gather import ThisMachine, gather
from fiqa_export.doctor.screen import run_doctor
from fiqa_runtime.errors import InputError, UnsupportedError

from tests.help.gpu.recorded_machines import (
    BARE,
    DESKTOP,
    ORIN_JETPACK_6_2,
)
from tests.help.places import STUB_LIBCUDA


def test_screen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    run_doctor("auto", None, ORIN_JETPACK_6_2)
    screen = capsys.readouterr().out
    assert len(screen.splitlines()) <= 24
    assert max(map(len, screen.splitlines())) <= 120
    assert "target auto: builds plans with tensorrt" in screen
    with pytest.raises(UnsupportedError) as refused:
        run_doctor("tensorrt", None, ORIN_JETPACK_6_2.with_pip_tensorrt("10.7.0", 12))
    assert str(refused.value) == (
        "target tensorrt cannot work here: kernels: tensorrt 10.7.0 has no kernels for GPUs of compute capability 8.7; "
        "take JetPack's 10.3: pip uninstall tensorrt tensorrt-cu12, then sudo apt install python3-libnvinfer"
    )
    assert refused.value.exit_code == 2
    screen = capsys.readouterr().out
    assert len(screen.splitlines()) <= 24
    assert "-> take JetPack's 10.3" in screen
    assert "pip's tensorrt 10.7.0 hides apt's 10.3.0.30-1+cuda12.5" in screen
    assert "target tensorrt: cannot work" in screen


def test_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run_doctor("auto", "-", DESKTOP)
    document = json.loads(capsys.readouterr().out)
    assert (document["target"], document["works"], document["flavours"]) == ("auto", True, ["tensorrt"])
    assert document["facts"]["gpu"]["compute_capability"] == "8.9"
    with pytest.raises(UnsupportedError):
        run_doctor("tensorrt", str(tmp_path / "doctor.json"), BARE)
    document = json.loads((tmp_path / "doctor.json").read_text(encoding="utf-8"))
    assert document["works"] is False
    assert {line["status"] for line in document["lines"]} == {"ok", "absent", "bad"}


def test_unknown_target() -> None:
    with pytest.raises(InputError, match="unknown target 'rtx'; choose auto, tensorrt, tensorrt-rtx"):
        run_doctor("rtx", None, DESKTOP)


def test_this_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """For real: nothing recorded, nothing heavy loaded here."""
    facts = gather(ThisMachine())
    assert facts.python == sys.version.split()[0]
    assert facts.packages["onnx"]
    assert facts.exporters == EXPORT_PACKAGES
    assert facts.opencv is not None
    assert facts.memory is None or 0 < facts.memory[0] <= facts.memory[1]
    assert (facts.gpu is None) is (facts.gpu_error is not None)
    for target in NEEDED_FLAVOURS:
        diagnosis = judge_facts(facts, target)
        assert all(line.fix for line in diagnosis.lines if line.status in ("bad", "warning"))
    run_doctor("auto", None)
    assert "target auto:" in capsys.readouterr().out


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from fiqa_export.doctor.screen import run_doctor; run_doctor('auto', '-');"
        "print({'torch', 'onnx', 'tensorrt', 'tensorrt_rtx', 'scipy'} & set(sys.modules), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "set()"
    assert json.loads(result.stdout)["works"] is True


def test_a_probe_that_dies_is_an_answer() -> None:
    answer = ThisMachine().probe("nonsense")
    assert answer == {"error": "its process ended with 1: KeyError: 'nonsense'"}
    assert ThisMachine().run(("no-such-command",)) is None


@pytest.mark.parametrize("integrated", [False, True])
def test_the_driver_is_asked_and_given_back(integrated: bool, tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux")
    command = [compiler, "-shared", "-fPIC", "-o", str(tmp_path / "libcuda.so.1"), str(STUB_LIBCUDA), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    if integrated:
        environment["STUB_INTEGRATED"] = "1"
    command = [sys.executable, "-c", "from fiqa_export.doctor.probe import main; main()", "cuda"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == {
        "name": "Stub GPU",
        "compute_capability": "8.7",
        "integrated": integrated,
        "driver": "12.6",
        "free": 1 << 20,
        "total": 1 << 20,
    }
    assert "stub: 0 left, 0 retained, 0 pushed, 0 problems" in result.stderr

"""The doctor on recorded machines, on this one, and on a driver library without a GPU."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fiqa_export.doctor import probe as doctor_probe
from fiqa_export.doctor.checks import NEEDED_FLAVOURS, Diagnosis, Line, judge_facts, sensible_workspace
from fiqa_export.doctor.facts import EXPORT_PACKAGES, TensorRt
from fiqa_export.doctor.gather import ThisMachine, gather, l4t_version
from fiqa_export.doctor.jetpack import has_kernels, jetpack_version, shipped_with
from fiqa_export.doctor.screen import run_doctor
from fiqa_export.plan.target import WORKSPACE_SHARE
from fiqa_runtime.errors import InputError, UnsupportedError

from tests.help.places import STUB_LIBCUDA
from tests.help.recorded_machines import (
    DESKTOP,
    MACHINES,
    ORIN_JETPACK_6_2,
    ORIN_JETPACK_7_2,
    THOR_JETPACK_7_0,
    RecordedMachine,
    gpu,
)

BARE = replace(
    DESKTOP.with_probe("cuda", error="libcuda.so.1: cannot open shared object file").with_probe("tensorrt"),
    files={"/proc/meminfo": DESKTOP.files["/proc/meminfo"]},
)
RTX = BARE.with_package("tensorrt-rtx-cu13-libs", "1.7.1").with_probe(
    "tensorrt_rtx", version="1.7.1.116", file="/x/tensorrt_rtx/__init__.py", capabilities=["7.5", "8.6", "8.9", "12.0"]
)


def lines(machine: RecordedMachine, target: str = "tensorrt") -> dict[str, Line]:
    return {line.topic: line for line in judge_facts(gather(machine), target).lines}


def diagnose(machine: RecordedMachine, target: str = "tensorrt") -> Diagnosis:
    return judge_facts(gather(machine), target)


@pytest.mark.parametrize(
    ("name", "l4t", "toolkit", "driver", "place", "cuda", "workspace"),
    [
        ("Orin, JetPack 6.2", "36.4.3", "12.6.11", "540.4.0", "apt", 12, 7 << 28),
        ("Thor, JetPack 7.0", "38.2.2", "13.0.0", None, "apt", 13, 122 << 28),
        ("Orin, JetPack 7.2", "39.2.0", "13.2.1", "595.78", "apt", 13, 61 << 28),
        ("desktop", None, "12.9.1", "575.57.08", "pip", 12, None),
    ],
)
def test_facts(
    name: str, l4t: str | None, toolkit: str, driver: str | None, place: str, cuda: int, workspace: int | None
) -> None:
    facts = gather(MACHINES[name])
    assert (facts.l4t, facts.toolkit, facts.driver) == (l4t, toolkit, driver)
    assert [(trt.flavour, trt.place, trt.cuda) for trt in facts.tensorrt] == [("tensorrt", place, cuda)]
    assert sensible_workspace(facts) == workspace
    if facts.gpu_memory is not None and workspace is not None:
        assert workspace == int(WORKSPACE_SHARE * facts.gpu_memory[0])
    assert facts.packages["pycuda"] == "2024.1.2"
    assert "libnvinfer8" not in facts.apt


@pytest.mark.parametrize("name", MACHINES)
def test_recorded_machines_build_plans(name: str) -> None:
    for target in ("auto", "tensorrt"):
        diagnosis = diagnose(MACHINES[name], target)
        assert diagnosis.works
        assert diagnosis.flavours == ("tensorrt",)
        assert {line.status for line in diagnosis.lines} == {"ok", "absent"}
    assert lines(MACHINES[name])["kernels"].text.startswith("tensorrt 10.")
    refused = diagnose(MACHINES[name], "tensorrt-rtx")
    assert not refused.works
    assert refused.stopper.topic == "tensorrt_rtx"


def test_what_the_lines_say() -> None:
    found = lines(ORIN_JETPACK_6_2)
    assert found["JetPack"].text == "6.2 (Jetson Linux 36.4.3): ships TensorRT 10.3, CUDA 12.6, Python 3.10"
    assert found["GPU"].text == "Orin, compute capability 8.7, integrated, shares the processor's memory"
    assert found["driver"].text == "540.4.0, runs CUDA up to 12.6"
    assert found["tensorrt"].text == "10.3.0 from apt, for CUDA 12"
    assert found["memory"].text == "5.3 GiB of 7.4 GiB of the processor available; --workspace by default: 1.8 GiB"
    assert found["OpenCV"].text == "4.8.0, without CUDA, with GStreamer"
    assert lines(ORIN_JETPACK_7_2)["JetPack"].text.startswith("7.2 (Jetson Linux 39.2.0): ships TensorRT 10.16")
    assert lines(THOR_JETPACK_7_0)["driver"].text == "without a number, runs CUDA up to 13.0"
    assert lines(replace(ORIN_JETPACK_6_2, files={}))["memory"].text.startswith("unknown")
    assert lines(DESKTOP)["memory"].text == "12.0 GiB of 24.0 GiB of the GPU available"


STOPPED = {
    "pip's TensorRT on JetPack 6": (
        ORIN_JETPACK_6_2.with_pip_tensorrt("10.7.0", 12),
        "kernels",
        "take JetPack's 10.3: pip uninstall tensorrt tensorrt-cu12, then sudo apt install python3-libnvinfer",
    ),
    "pip's TensorRT on JetPack 7": (ORIN_JETPACK_7_2.with_pip_tensorrt("10.13.3.9", 13), "kernels", "JetPack's 10.16"),
    "TensorRT 11.3 on JetPack 7": (THOR_JETPACK_7_0.with_pip_tensorrt("11.3.0", 13), "kernels", "JetPack's 10.13"),
    "a pinned older TensorRT from apt": (
        ORIN_JETPACK_7_2.with_probe("tensorrt", **THOR_JETPACK_7_0.probes["tensorrt"]),
        "kernels",
        "go back to JetPack's 10.16",
    ),
    "a virtual environment without apt's packages": (
        replace(ORIN_JETPACK_6_2, sees_apt=False).with_probe("tensorrt"),
        "tensorrt",
        "python3.10 -m venv --system-site-packages .venv",
    ),
    "no Python bindings": (
        replace(ORIN_JETPACK_6_2, dpkg="ii |libnvinfer10|10.3.0.30-1+cuda12.5\n").with_probe("tensorrt"),
        "tensorrt",
        "sudo apt install python3-libnvinfer",
    ),
    "JetPack 5": (
        replace(ORIN_JETPACK_6_2, dpkg="ii |nvidia-jetpack|5.1.4-b17\nii |libnvinfer8|8.5.2-1+cuda11.4\n").with_probe(
            "tensorrt", version="8.5.2.2", file="/usr/lib/python3.8/dist-packages/tensorrt/__init__.py"
        ),
        "tensorrt",
        "TensorRT 10.3 to 11",
    ),
    "JetPack 6.0": (
        replace(ORIN_JETPACK_6_2, dpkg="ii |nvidia-jetpack|6.0+b106\nii |libnvinfer8|8.6.2.3-1+cuda12.2\n").with_probe(
            "tensorrt", version="8.6.2", file="/usr/lib/python3.10/dist-packages/tensorrt/__init__.py"
        ),
        "tensorrt",
        "TensorRT 10.3 to 11",
    ),
    "an old Python": (replace(ORIN_JETPACK_6_2, python="3.8.10"), "Python", "JetPack 6.1 or newer"),
    "a driver too old for its TensorRT": (DESKTOP.with_pip_tensorrt("10.16.1", 13), "tensorrt", "runs CUDA 12.9"),
    "a GPU too new": (
        DESKTOP.with_probe("cuda", **gpu("RTX 5090", "12.0", "12.9", False, 32)).with_pip_tensorrt("10.7.0", 12),
        "kernels",
        "install a TensorRT that has them",
    ),
    "a GPU too old": (
        DESKTOP.with_probe("cuda", **gpu("Tesla V100", "7.0", "12.9", False, 16)),
        "kernels",
        "install a TensorRT that has them",
    ),
    "a broken TensorRT": (
        DESKTOP.with_probe("tensorrt", error="libnvinfer.so.10: cannot open shared object file"),
        "tensorrt",
        "from one source only",
    ),
    "no way to the GPU": (DESKTOP.without_package("pycuda"), "GPU access", "pip install cuda-bindings"),
    "no Polygraphy": (DESKTOP.without_package("polygraphy"), "Polygraphy", "pip install polygraphy"),
    "no onnx": (DESKTOP.without_package("onnx"), "export", "pip install onnx"),
    "no OpenCV": (DESKTOP.with_probe("opencv", error="No module named 'cv2'"), "OpenCV", "pip install opencv-python"),
    "no GPU": (BARE, "GPU", "install NVIDIA's driver"),
}


@pytest.mark.parametrize("what", STOPPED)
def test_what_stops_tensorrt(what: str) -> None:
    machine, topic, fix = STOPPED[what]
    diagnosis = diagnose(machine)
    assert not diagnosis.works
    assert "tensorrt" not in diagnosis.flavours
    stopping = [line for line in diagnosis.lines if line.status == "bad"]
    assert topic in [line.topic for line in stopping]
    assert any(fix in (line.fix or "") for line in stopping if line.topic == topic)
    assert all(line.fix and "\n" not in line.fix for line in stopping)


@pytest.mark.parametrize("target", NEEDED_FLAVOURS)
@pytest.mark.parametrize("what", STOPPED)
def test_every_bad_line_has_its_fix(what: str, target: str) -> None:
    diagnosis = diagnose(STOPPED[what][0], target)
    assert all(line.fix for line in diagnosis.lines if line.status in ("bad", "warning"))
    assert diagnosis.works is not any(line.status == "bad" for line in diagnosis.lines)


@pytest.mark.parametrize(
    ("machine", "topic", "fix"),
    [
        (
            replace(DESKTOP, sees_apt=True, dpkg="ii |python3-libnvinfer|10.8.0.43-1+cuda12.8\n"),
            "conflict",
            "keep one: pip uninstall",
        ),
        (
            DESKTOP.with_package("opencv-python", "5.0.0").with_package("opencv-python-headless", "4.11.0"),
            "OpenCV",
            "opencv-python and opencv-python-headless overwrite each other",
        ),
        (DESKTOP.with_probe("opencv", version="4.5.4", cuda=False, gstreamer=True), "OpenCV", "OpenCV 4.8 or newer"),
        (
            ORIN_JETPACK_6_2.with_file("/proc/meminfo", "MemTotal: 7802724 kB\nMemAvailable: 900000 kB\n"),
            "memory",
            "close other programs",
        ),
        (
            ORIN_JETPACK_7_2.with_file("/etc/nv_tegra_release", "# R39 (release), REVISION: 9.0,"),
            "JetPack",
            "does not know this JetPack",
        ),
        (replace(ORIN_JETPACK_6_2, dpkg="ii |nvidia-jetpack|6.0+b106\n"), "JetPack", "flash JetPack 6.2 or 7.2"),
        (DESKTOP.without_package("torch"), "export", "fiqa-edge[export]"),
        (DESKTOP.without_package("matplotlib"), "export", "fiqa-edge[export]"),
        (
            replace(ORIN_JETPACK_6_2, files={"/proc/meminfo": ORIN_JETPACK_6_2.files["/proc/meminfo"]}, dpkg=""),
            "kernels",
            "the builder tells",
        ),
    ],
)
def test_what_deserves_a_look_stops_nothing(machine: RecordedMachine, topic: str, fix: str) -> None:
    diagnosis = diagnose(machine)
    line = next(line for line in diagnosis.lines if line.topic == topic)
    assert line.status == "warning"
    assert fix in (line.fix or "")
    assert diagnosis.works


def test_auto_exports_without_any_tensorrt() -> None:
    diagnosis = diagnose(BARE, "auto")
    assert diagnosis.works
    assert diagnosis.flavours == ()
    assert lines(BARE, "auto")["tensorrt"].fix == "pip install 'fiqa-edge[tensorrt]'"
    assert not diagnose(BARE.without_package("onnx"), "auto").works


@pytest.mark.parametrize("target", ["auto", "tensorrt"])
def test_a_device_without_torch_builds_plans(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As README installs it on a Jetson."""
    exporter = [name for name in EXPORT_PACKAGES if name != "onnx"]
    run_doctor(target, None, ORIN_JETPACK_6_2.without_package(*exporter))
    assert f"target {target}: builds plans of exported ONNX files with tensorrt" in capsys.readouterr().out
    assert not diagnose(BARE.without_package("torch"), "auto").works


def test_what_imports_counts_whatever_brings_it() -> None:
    machine = DESKTOP.without_package("onnxruntime").with_package("onnxruntime-gpu", "1.23.0")
    assert lines(machine)["export"].fix is None
    assert gather(machine).packages["onnxruntime-gpu"] == "1.23.0"
    assert doctor_probe.ASKED_FOR.fullmatch("onnxruntime-gpu")


def test_rtx_builds_without_a_gpu() -> None:
    assert diagnose(RTX, "tensorrt-rtx").works
    assert diagnose(RTX, "auto").flavours == ("tensorrt_rtx",)
    hopper = RTX.with_probe("cuda", **gpu("NVIDIA H200", "9.0", "13.0", False, 141))
    assert diagnose(hopper, "tensorrt-rtx").works
    assert "builds plans that do not run here" in lines(hopper, "tensorrt-rtx")["kernels"].text
    assert "there is none for Jetson" in (lines(ORIN_JETPACK_6_2, "tensorrt-rtx")["tensorrt_rtx"].fix or "")


@pytest.mark.parametrize(
    ("version", "place", "capability", "jetpack", "answer"),
    [
        ("10.3.0", "apt", "8.7", "6.2", True),
        ("10.7.0", "apt", "8.7", "6.2", True),
        ("10.8.0", "apt", "8.7", "6.2", False),
        ("10.3.0", "pip", "8.7", "6.2", True),
        ("10.7.0", "pip", "8.7", "6.2", False),
        ("10.13.3", "pip", "8.7", "6.2", False),
        ("10.16.1", "pip", "8.7", "6.2", False),
        ("10.13.3", "apt", "8.7", "7.2", False),
        ("10.16.2", "apt", "8.7", "7.2", True),
        ("10.16.1", "pip", "8.7", "7.2", True),
        ("10.16.1", "pip", "8.7", None, None),
        ("11.0.0", "pip", "8.7", "7.2", None),
        ("11.3.0", "pip", "8.7", "7.2", False),
        ("11.4.0", "pip", "8.7", "7.2.2", False),
        ("11.4.1", "pip", "8.7", "7.2.1", False),
        ("11.4.1", "pip", "8.7", "7.2.2", True),
        ("11.4.1", "pip", "8.7", "6.2", False),
        ("10.13.0", "pip", "11.0", "7.0", False),
        ("10.13.3", "apt", "11.0", "7.0", True),
        ("11.3.0", "pip", "11.0", "7.1", False),
        ("10.4.0", "pip", "7.0", None, True),
        ("10.5.0", "pip", "7.0", None, False),
        ("10.3.0", "pip", "6.1", None, False),
        ("10.7.0", "pip", "12.0", None, False),
        ("10.8.0", "pip", "12.0", None, True),
        ("10.3.0", "pip", "9.0", None, True),
        ("11.4.1", "pip", "8.9", None, True),
    ],
)
def test_kernels(version: str, place: str, capability: str, jetpack: str | None, answer: bool | None) -> None:
    trt = TensorRt("tensorrt", version, "apt" if place == "apt" else "pip", None)
    assert has_kernels(trt, capability, jetpack) is answer


def test_jetpack_versions() -> None:
    assert l4t_version(None) is None
    assert l4t_version("nonsense") is None
    assert jetpack_version("36.4.7", None) == "6.2.1"
    assert jetpack_version("39.2.0", "7.2.1-b49") == "7.2.1"
    assert jetpack_version("99.0.0", None) is None
    assert shipped_with("6.2.1") == shipped_with("6.2")
    assert shipped_with(None) is None


def test_screen(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    run_doctor("auto", None, ORIN_JETPACK_6_2)
    screen = capsys.readouterr().out
    assert len(screen.splitlines()) <= 24
    assert max(map(len, screen.splitlines())) <= 120
    assert "target auto: builds plans with tensorrt" in screen
    with pytest.raises(UnsupportedError) as refused:
        run_doctor("tensorrt", None, STOPPED["pip's TensorRT on JetPack 6"][0])
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
    document = json.loads((tmp_path / "doctor.json").read_text())
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
    command = [compiler, "-shared", "-fPIC", "-o", tmp_path / "libcuda.so.1", STUB_LIBCUDA, "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    if integrated:
        environment["STUB_INTEGRATED"] = "1"
    probe = [sys.executable, "-m", "fiqa_export.doctor.probe", "cuda"]
    result = subprocess.run(probe, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == {
        "name": "Stub GPU",
        "compute_capability": "8.7",
        "integrated": integrated,
        "driver": "12.6",
        "free": 1 << 20,
        "total": 1 << 20,
    }
    assert "stub: 0 left, 0 retained, 0 pushed, 0 problems" in result.stderr

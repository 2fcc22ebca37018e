"""The doctor's verdict on recorded machines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fiqa_export.doctor import probe
from fiqa_export.doctor.checks import NEEDED_FLAVOURS, Diagnosis, judge_facts, sensible_workspace
from fiqa_export.doctor.facts import EXPORT_PACKAGES
from fiqa_export.doctor.gather import gather
from fiqa_export.doctor.line import Line
from fiqa_export.doctor.screen import run_doctor
from fiqa_export.plan.target import WORKSPACE_SHARE

from tests.help.gpu.recorded_machines import (
    BARE,
    DESKTOP,
    MACHINES,
    ORIN_JETPACK_6_2,
    ORIN_JETPACK_7_2,
    RTX,
    THOR_JETPACK_7_0,
    RecordedMachine,
    gpu,
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
    "no OpenCV": (
        DESKTOP.with_probe("opencv", error="No module named 'cv2'"),
        "OpenCV",
        "pip install 'fiqa-edge[headless]'",
    ),
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
        (
            replace(
                ORIN_JETPACK_6_2.with_package("opencv-python-headless", "5.0.0"),
                dpkg=ORIN_JETPACK_6_2.dpkg + "ii |libopencv-python|4.8.0-1-g6371ee1\n",
            ),
            "OpenCV",
            "pip's opencv-python-headless hides apt's libopencv-python 4.8.0-1-g6371ee1",
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
        (
            DESKTOP.with_package("onnxruntime-gpu", "1.24.1"),
            "devices",
            "onnxruntime and onnxruntime-gpu overwrite each",
        ),
    ],
)
def test_what_deserves_a_look_stops_nothing(machine: RecordedMachine, topic: str, fix: str) -> None:
    diagnosis = diagnose(machine)
    line = next(line for line in diagnosis.lines if line.topic == topic)
    assert line.status == "warning"
    assert fix in (line.fix or "")
    assert diagnosis.works


def test_devices_that_onnx_files_run_on() -> None:
    (line,) = (line for line in diagnose(DESKTOP).lines if line.topic == "devices")
    assert (line.status, line.fix) == ("ok", None)
    assert line.text == ("ONNX files run on cpu (onnxruntime, opencv); not here: cuda (fiqa-score --explain says why)")
    (line,) = (
        line for line in diagnose(DESKTOP.with_probe("devices", error="killed")).lines if line.topic == "devices"
    )
    assert "unknown" in line.text


def test_auto_exports_without_any_tensorrt() -> None:
    diagnosis = diagnose(BARE, "auto")
    assert diagnosis.works
    assert diagnosis.flavours == ()
    assert lines(BARE, "auto")["tensorrt"].fix == "pip install 'fiqa-edge[tensorrt]'"
    assert not diagnose(BARE.without_package("onnx"), "auto").works


@pytest.mark.parametrize("target", ["auto", "tensorrt"])
def test_a_device_without_torch_builds_plans(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    """As docs/guides/jetson.md installs it."""
    exporter = [name for name in EXPORT_PACKAGES if name != "onnx"]
    run_doctor(target, None, ORIN_JETPACK_6_2.without_package(*exporter))
    assert f"target {target}: builds plans of exported ONNX files with tensorrt" in capsys.readouterr().out
    assert not diagnose(BARE.without_package("torch"), "auto").works


def test_what_imports_counts_whatever_brings_it() -> None:
    machine = DESKTOP.without_package("onnxruntime").with_package("onnxruntime-gpu", "1.23.0")
    assert lines(machine)["export"].fix is None
    assert gather(machine).packages["onnxruntime-gpu"] == "1.23.0"
    assert probe.ASKED_FOR.fullmatch("onnxruntime-gpu")


def test_rtx_builds_without_a_gpu() -> None:
    assert diagnose(RTX, "tensorrt-rtx").works
    assert diagnose(RTX, "auto").flavours == ("tensorrt_rtx",)
    hopper = RTX.with_probe("cuda", **gpu("NVIDIA H200", "9.0", "13.0", False, 141))
    assert diagnose(hopper, "tensorrt-rtx").works
    assert "builds plans that do not run here" in lines(hopper, "tensorrt-rtx")["kernels"].text
    assert "there is none for Jetson" in (lines(ORIN_JETPACK_6_2, "tensorrt-rtx")["tensorrt_rtx"].fix or "")

"""Detectors of unknown origin: what breaks a runtime breaks it in a process of its own, and is one line here."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from fiqa_runtime.errors import ArtefactError, UnsupportedError
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.yunet import HEADS
from fiqa_runtime.scoring import first_opening
from fiqa_runtime.scoring.first_opening import open_elsewhere
from fiqa_runtime.system.child import LEAST_MEMORY, memory_share

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits are set on Linux")
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs a shell script as a program")


@pytest.fixture()
def foreign(tmp_path: Path) -> Path:
    """A graph with the outputs of a YuNet, which is none."""
    kind = onnx.TensorProto.FLOAT
    image = onnx.helper.make_tensor_value_info("input", kind, [1, 3, None, None])
    heads = [onnx.helper.make_tensor_value_info(name, kind, None) for name in HEADS]
    nodes = [onnx.helper.make_node("Relu", ["input"], [name]) for name in HEADS]
    graph = onnx.helper.make_graph(nodes, "g", [image], heads)
    path = tmp_path / "foreign.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def python_that(does: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every process of ours do what the shell line `does`."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(program))


@POSIX
@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("kill -SEGV $$", r"makes the runtime fail \(signal 11\)"),
        ("kill -FPE $$", r"makes the runtime fail \(signal 8\)"),
        ("echo 'MemoryError: bad allocation' >&2; exit 1", r"makes the runtime fail \(MemoryError: bad allocation\)"),
        ("exit 0", "makes the runtime fail"),
        ("exec sleep 60", "does not open within 0.5 s"),
    ],
)
def test_a_crash_a_hang_and_a_bomb_are_one_line(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, says: str
) -> None:
    python_that(does, tmp_path, monkeypatch)
    monkeypatch.setattr(first_opening, "SECONDS", 0.5 if "sleep" in does else 60)
    with pytest.raises(ArtefactError, match=f"{says}.*; use face_detection_yunet_2023mar.onnx") as caught:
        Detector(foreign)
    assert "\n" not in str(caught.value)


@POSIX
def test_what_the_process_refuses_is_refused_here(
    foreign: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python_that("echo 'UnsupportedError: OpenCV cannot read it' >&2; exit 2", tmp_path, monkeypatch)
    with pytest.raises(UnsupportedError, match=r"^OpenCV cannot read it$"):
        Detector(foreign)


@pytest.mark.parametrize("backend", ["onnxruntime", "opencv", "openvino"])
def test_a_graph_that_is_no_yunet_ends_in_one_line(foreign: Path, backend: str) -> None:
    with pytest.raises((ArtefactError, UnsupportedError)) as caught:
        Detector(foreign, backend=backend)
    assert "\n" not in str(caught.value)


@POSIX
def test_files_that_are_known_need_no_process(
    weights_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python_that("kill -SEGV $$", tmp_path, monkeypatch)
    Detector(weights_dir / "face_detection_yunet_2023mar.onnx", backend="opencv")


def test_where_no_process_can_be_started_nothing_is_tried(foreign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "")
    open_elsewhere(foreign, "fiqa_runtime.faces.opening_process", str(foreign), "auto", advice="")


@LINUX
def test_a_limit_of_memory_holds() -> None:
    code = f"from fiqa_runtime.system.child import begin; begin({LEAST_MEMORY}); bytearray({LEAST_MEMORY} + (1 << 20))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 1
    assert "MemoryError" in result.stderr


@LINUX
def test_the_share_of_memory_is_less_than_there_is() -> None:
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert LEAST_MEMORY <= memory_share() <= max(there // 2, LEAST_MEMORY)


@pytest.mark.parametrize("name", ["face_detection_yunet_2026may.onnx", "yunet_n_dynamic.onnx"])
def test_other_yunets_open_as_before(weights_dir: Path, name: str) -> None:
    path = weights_dir / name
    if not path.exists():
        pytest.skip(f"{name} is not there")
    assert Detector(path).detect(np.zeros((64, 64, 3), np.uint8)) == []


@POSIX
def test_strides_of_zero_do_not_take_the_command_along(weights_dir: Path, tmp_path: Path) -> None:
    """OpenCV divides by them, which ends a process; a graph of YuNet's authors with this one change."""
    model = onnx.load(weights_dir / "face_detection_yunet_2023mar.onnx")
    convolution = next(node for node in model.graph.node if node.op_type == "Conv")
    for attribute in convolution.attribute:
        if attribute.name == "strides":
            attribute.ints[:] = [0, 0]
    path = tmp_path / "strides.onnx"
    onnx.save(model, path)
    with pytest.raises((ArtefactError, UnsupportedError)) as caught:
        Detector(path, backend="opencv")
    assert "\n" not in str(caught.value)

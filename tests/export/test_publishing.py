"""Artefacts on disk: work that is going on is left alone, and nothing of an earlier file stays with a new one."""

from __future__ import annotations

import os
import time
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
from fiqa_export.graph import loading
from fiqa_export.graph.files import files_of
from fiqa_export.graph.loading import open_graph
from fiqa_export.graph.loading import save_graph as save_model
from fiqa_export.publishing import STALE_SECONDS, publish, versions, workplace
from fiqa_runtime.system import host

from tests.help.samples.onnx_graphs import node, save_graph

LONG_AGO = time.time() - 2 * STALE_SECONDS


def test_what_a_killed_export_left_goes_and_a_running_one_stays(tmp_path: Path) -> None:
    killed, running = tmp_path / ".export-killed", tmp_path / ".export-running"
    for folder in (killed, running):
        folder.mkdir()
        (folder / "int8.onnx").touch()
        os.utime(folder, (LONG_AGO, LONG_AGO))
    os.utime(killed / "int8.onnx", (LONG_AGO, LONG_AGO))
    with workplace(tmp_path) as own:
        assert own.is_dir()
        assert running.is_dir()
        assert not killed.exists()
    assert not own.exists()


@pytest.fixture
def network(tmp_path: Path) -> Path:
    weights = {"w": np.ones((3, 3), np.float32)}
    return save_graph(tmp_path / "g.onnx", [node("MatMul", "x w")], weights, [1, 3])


def test_smaller_version_does_not_keep_the_weights_of_a_larger_one(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.onnx"
    with monkeypatch.context() as patch:
        patch.setattr(loading, "LARGEST_FILE", 0)
        save_model(open_graph(network), path)
    assert files_of(path) == ["out.onnx", "out.onnx.data"]
    save_model(open_graph(network), path)
    assert files_of(path) == ["out.onnx"]


def test_published_artefact_takes_the_place_of_all_files_of_the_earlier_one(network: Path, tmp_path: Path) -> None:
    out, folder = tmp_path / "out", tmp_path / "work"
    for place in (out, folder):
        place.mkdir()
        save_model(open_graph(network), place / "a.onnx", weights_beside=place == out)
        (place / "a.onnx.json").write_text(place.name)
    publish(folder, out, "a.onnx")
    assert sorted(path.name for path in out.iterdir()) == ["a.onnx", "a.onnx.json"]
    assert (out / "a.onnx.json").read_text(encoding="utf-8") == "work"


def test_versions_are_of_what_is_installed_under_whatever_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(package: str) -> str:
        if package in ("onnxruntime", "opencv-python"):
            raise PackageNotFoundError(package)
        return "1"

    monkeypatch.setattr(host, "version", version)
    found = versions()
    assert not {"onnxruntime", "opencv-python"} & set(found)
    assert {"onnxruntime-gpu", "opencv-python-headless", "torch"} <= set(found)

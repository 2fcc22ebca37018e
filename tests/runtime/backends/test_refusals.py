"""What a backend cannot run is refused in one line that names the operator, never scored wrongly."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import cv2
import fiqa_runtime.cli
import numpy as np
import onnx
import pytest
from fiqa_runtime.artefact.card import Card, read_card, with_files, write_card
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.backends.base import in_file_order
from fiqa_runtime.backends.cuda.cuda_python_driver import CudaPythonDriver
from fiqa_runtime.backends.opencv import OpenCvBackend
from fiqa_runtime.errors import ArtefactError, DependencyError, UnsupportedError
from fiqa_runtime.faces.detector import Detector, yunet_network
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from onnx import TensorProto, helper, numpy_helper

from tests.help.commands import Invoke, invoker


def engine_with(operator: str, domain: str, folder: Path) -> Path:
    """A network that begins with `operator` and ends with a mean, and its card."""
    tensors = [numpy_helper.from_array(np.array(v), n) for n, v in (("axes", [1, 2, 3]), ("one", [1]))]
    nodes = [
        helper.make_node(operator, ["input"], ["x"], name="/first", domain=domain),
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["score"]),
    ]
    shapes: dict[str, list[str | int | None]] = {"input": ["n", 3, 112, 112], "score": ["n", 1]}
    infos = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "g", infos[:1], infos[1:], tensors)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("of.others", 1)]
    path = folder / "odd.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    spec = MODELS["ediffiqa-t"]
    card = Card(spec.name, "fp32", "onnx", spec.input, spec.outputs, spec.licence, spec.source, spec.max_batch)
    write_card(with_files(card, folder, [path.name]), path)
    return path


@pytest.mark.parametrize("backend", ["opencv", "openvino", "onnxruntime"])
@pytest.mark.parametrize(("operator", "domain"), [("Bernoulli", ""), ("Magic", "of.others")])
def test_unknown_operator(
    operator: str,
    domain: str,
    backend: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    score: Invoke = invoker(fiqa_runtime.cli.main, capsys, monkeypatch)
    cv2.imwrite(str(tmp_path / "a.png"), seeded_image(0, 112, 112))
    engine = engine_with(operator, domain, tmp_path)
    result = score(tmp_path / "a.png", "--aligned", "--engine", engine, "--backend", backend)
    if (operator, backend) == ("Bernoulli", "onnxruntime"):
        assert result.code == 0, "it knows every operator of ONNX"
        return
    fix = "export it again" if backend == "onnxruntime" else "use --backend onnxruntime"
    assert result.is_one_line(operator, fix), result


def test_opencv_error_about_no_node_is_one_line() -> None:
    error = cv2.error("OpenCV(5.0.0) dnn.cpp:1: error: (-215)\n> inputs.size() == 1\n> ")
    line = str(OpenCvBackend._refused("a.onnx", error))
    assert "inputs.size() == 1" in line
    assert "\n" not in line


@pytest.fixture
def broken_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is found, and fails when it is imported."""
    monkeypatch.delitem(sys.modules, "fiqa_runtime.backends.onnxruntime", raising=False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr("fiqa_runtime.backends.lacking", lambda name, device="cpu": None)


BROKEN = r"backend onnxruntime is installed but cannot be imported \(.*\); pip install .*'fiqa-edge\[onnxruntime\]'"


def test_a_broken_package_is_one_line(seeded_engine: Path, weights_dir: Path, broken_onnxruntime: None) -> None:
    with pytest.raises(DependencyError, match=BROKEN):
        Scorer(seeded_engine, "onnxruntime")
    with pytest.raises(DependencyError, match=BROKEN):
        Detector(weights_dir / "face_detection_yunet_2023mar.onnx")


def test_a_broken_cuda_python_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "cuda.bindings.driver", raising=False)
    for name in ("cuda", "cuda.bindings"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    with pytest.raises(DependencyError, match=r"cuda-python cannot be imported .*--force-reinstall cuda-python"):
        CudaPythonDriver()


def test_tensorrt_for_detection_names_a_model_that_exists(weights_dir: Path) -> None:
    with pytest.raises(UnsupportedError, match="fiqa-export yunet-s --target tensorrt"):
        yunet_network(weights_dir / "face_detection_yunet_2023mar.onnx", "tensorrt")


def test_outputs_that_the_card_does_not_count(seeded_engine: Path) -> None:
    card = read_card(seeded_engine)
    assert in_file_order(["of.others"], card) == ["score"]
    with pytest.raises(ArtefactError, match="gives 2 outputs, its card names 1; export it again"):
        in_file_order(["score", "map"], card)


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_closing_twice(seeded_engine: Path, backend: str) -> None:
    with Scorer(seeded_engine, backend) as scorer:
        scorer.close()

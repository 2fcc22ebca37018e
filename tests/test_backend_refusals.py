"""What a backend cannot run is refused in one line that names the operator, never scored wrongly."""

from __future__ import annotations

from pathlib import Path

import cv2
import fiqa_runtime.cli
import numpy as np
import onnx
import pytest
from commands import Invoke, invoker
from fiqa_runtime.backends.opencv import OpenCvBackend
from fiqa_runtime.card import Card, with_files, write_card
from fiqa_runtime.seeded import seeded_image
from fiqa_runtime.zoo import MODELS
from onnx import TensorProto, helper, numpy_helper


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

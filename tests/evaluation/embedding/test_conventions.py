"""SFace is fed as OpenCV's own class feeds it: a network that hands on what it sees gives the same numbers by both."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from fiqa_evaluation.embedding.conventions import CONVENTIONS
from fiqa_runtime.images.seeded import seeded_image
from onnx import helper


def test_sface_is_fed_as_opencv_feeds_it(tmp_path: Path) -> None:
    if not hasattr(cv2, "FaceRecognizerSF"):
        pytest.skip("this OpenCV has no FaceRecognizerSF")
    nodes = [helper.make_node("GlobalAveragePool", ["data"], ["mean"]), helper.make_node("Flatten", ["mean"], ["fc1"])]
    shapes = {"data": [1, 3, 112, 112], "fc1": [1, 3]}
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in shapes.items()]
    graph = helper.make_graph(nodes, "means", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / "m.onnx")
    crop = seeded_image(0, 112, 112)
    theirs = cv2.FaceRecognizerSF.create(str(tmp_path / "m.onnx"), "").feature(crop)
    colour, mean, std = CONVENTIONS["sface"]
    ordered = crop[..., ::-1] if colour == "RGB" else crop
    np.testing.assert_allclose(theirs[0], ((ordered - mean) / std).mean((0, 1)), rtol=1e-4)
    assert abs(float(crop[..., 0].mean() - crop[..., 2].mean())) > 0.01, "the crop tells the orders apart"

"""A detector on another device finds what it finds on the processor, or is refused."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from fiqa_runtime.errors import DependencyError, VerdictError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.mtcnn_detector import MtcnnDetector
from fiqa_runtime.faces.on_device import refuse_other_faces
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.sample_pictures import default_pictures

from tests.help.gpu.fake_devices import FakeSession, have_everything, lack_everything
from tests.help.samples.mtcnn_engines import export_mtcnn


@pytest.fixture()
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every device is here. Gives what ONNX Runtime's sessions are asked for."""
    return have_everything(monkeypatch)


@pytest.fixture()
def yunet(weights_dir: Path) -> Path:
    return weights_dir / "face_detection_yunet_2023mar.onnx"


class HalvedSession(FakeSession):
    """A device that computes half of everything."""

    def run(self, *arguments: Any) -> Any:
        results = super().run(*arguments)
        return results if self.names[0] == "CPUExecutionProvider" else [result / 2 for result in results]


def same(found: list[Detection], expected: list[Detection]) -> None:
    assert len(found) == len(expected) > 0
    for face, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(face.landmarks, other.landmarks, rtol=0, atol=1)


@pytest.mark.parametrize(
    ("device", "backend"),
    [("cuda", "onnxruntime"), ("cuda", "opencv"), ("tensorrt", "onnxruntime"), ("intel-gpu", "openvino")],
)
def test_yunet(device: str, backend: str, yunet: Path, asked: list[dict[str, Any]]) -> None:
    detector = Detector(yunet, backend=backend, device=device)
    assert (detector.device, detector.engine) == (device, backend)
    assert device in repr(detector)
    (picture,) = default_pictures()
    same(detector.detect(picture), Detector(yunet).detect(picture))
    again = pickle.loads(pickle.dumps(detector))
    assert (again.device, again.engine) == (device, backend)


def test_auto_takes_a_backend_that_serves_the_device(yunet: Path, asked: list[dict[str, Any]]) -> None:
    assert Detector(yunet, device="intel-gpu").engine == "openvino"
    assert Detector(yunet, device="cuda").engine == "onnxruntime"
    assert "trt_profile_min_shapes" not in str(asked), "the size of photos is free"


def test_mtcnn(tmp_path: Path, asked: list[dict[str, Any]]) -> None:
    engines = export_mtcnn(tmp_path)
    detector = MtcnnDetector(engines, device="cuda")
    assert (detector.device, detector.engine) == ("cuda", "onnxruntime")
    assert "cuda" in repr(detector)
    again = pickle.loads(pickle.dumps(detector))
    assert (again.device, again.engine) == ("cuda", "onnxruntime")


def test_other_faces_are_refused(yunet: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "InferenceSession", HalvedSession)
    with pytest.raises(VerdictError, match=r"on cuda the detector finds other faces .*; take --device cpu"):
        Detector(yunet, backend="onnxruntime", device="cuda")


class Finder:
    def __init__(self, change: Callable[[Detection], Detection | None]) -> None:
        self.change = change

    def detect(self, image: Image) -> list[Detection]:
        face = Detection(np.array([10, 10, 100, 90], np.float32), np.full((5, 2), 50, np.float32), 0.9)
        changed = self.change(face)
        return [] if changed is None else [changed]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda face: None, "0 faces and not 1"),
        (lambda face: Detection(face.box, face.landmarks + 2, 0.9), "moved by 2 % of the face"),
        (lambda face: Detection(face.box + np.float32(np.nan), face.landmarks, 0.9), "moved by nan %"),
        (lambda face: Detection(face.box, face.landmarks, 0.8), "confidence 0.800 and not 0.900"),
        (lambda face: Detection(face.box, face.landmarks, float("nan")), "confidence nan"),
    ],
)
def test_what_counts_as_another_face(change: Callable[[Detection], Detection | None], told: str) -> None:
    right = Finder(lambda face: face)
    with pytest.raises(VerdictError, match=told):
        refuse_other_faces(Finder(change), right, "cuda")
    refuse_other_faces(Finder(lambda face: Detection(face.box + 0.5, face.landmarks, 0.905)), right, "cuda")


def test_nothing_falls_back_where_the_device_is_missing(yunet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lack_everything(monkeypatch)
    with pytest.raises(DependencyError, match=r"nothing here runs on intel-npu: OpenVINO .* sees no NPU here"):
        Detector(yunet, device="intel-npu")

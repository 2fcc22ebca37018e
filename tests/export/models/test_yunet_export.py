"""Our export of YuNet's real weights against the authors' own ONNX files, raw heads and detections."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest
from fiqa_export.pipeline import Exported, export
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.scoring.scorer import Scorer

OFFICIAL = {"yunet-s": "face_detection_yunet_2023mar.onnx", "yunet-n": "yunet_n_dynamic.onnx"}


def resized(photo: Image, height: int, width: int) -> Image:
    return np.asarray(cv2.resize(photo, (width, height)), np.uint8)


@pytest.fixture(scope="module", params=OFFICIAL)
def exported(request: pytest.FixtureRequest, weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export(request.param, None, tmp_path_factory.mktemp("yunet"))


def test_weights_are_the_published_ones(exported: Exported) -> None:
    assert exported.card.weights.kind == "official"
    assert "as published" in exported.card.weights.description


def test_raw_heads(exported: Exported, weights_dir: Path, images_dir: Path) -> None:
    session = ort.InferenceSession(weights_dir / OFFICIAL[exported.card.model], providers=["CPUExecutionProvider"])
    scorer = Scorer(exported.path, "onnxruntime")
    names = [output.name for output in exported.card.outputs]
    for file in ("skimage/astronaut.png", "dlib/2007_007763.jpg"):
        image = resized(read_image(images_dir / file), 640, 640)
        blob = np.ascontiguousarray(image.transpose(2, 0, 1)[None].astype(np.float32))
        expected = dict(zip(names, session.run(names, {session.get_inputs()[0].name: blob}), strict=True))
        for name, ours in scorer.outputs([image]).items():
            np.testing.assert_allclose(ours, expected[name], atol=1e-4, rtol=0, err_msg=f"{file} {name}")


def test_same_detections(exported: Exported, weights_dir: Path, images_dir: Path) -> None:
    ours, official = Detector(exported.path), Detector(weights_dir / OFFICIAL[exported.card.model])
    found = 0
    for path in find_images([images_dir]):
        image = read_image(path)
        pairs = list(zip(ours.detect(image), official.detect(image), strict=True))
        found += len(pairs)
        for one, other in pairs:
            np.testing.assert_allclose(one.box, other.box, atol=1e-2)
            np.testing.assert_allclose(one.landmarks, other.landmarks, atol=1e-2)
            assert one.confidence == pytest.approx(other.confidence, abs=1e-5)
    assert found >= 36


@pytest.mark.parametrize(("height", "width", "count"), [(64, 96, 1), (320, 352, 3), (33, 500, 2)])
def test_any_size_and_batch(exported: Exported, images_dir: Path, height: int, width: int, count: int) -> None:
    scorer = Scorer(exported.path, "onnxruntime")
    photo = read_image(images_dir / "skimage/astronaut.png")
    images = [resized(photo[i * 20 :], height, width) for i in range(count)]
    together = scorer.outputs(images)
    cells = -(-height // 32) * -(-width // 32)
    assert together["cls_32"].shape == (count, cells, 1)
    assert together["kps_8"].shape == (count, 16 * cells, 10)
    for index, image in enumerate(images):
        for name, alone in scorer.outputs([image]).items():
            np.testing.assert_array_equal(together[name][index : index + 1], alone)

"""Faces in photos: OpenCV's numbers, our own decoding of the same network, and pictures of every size."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_runtime.artefact.card import Card, with_files, write_card
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.errors import ArtefactError, CardError, DependencyError, InputError, UnsupportedError
from fiqa_runtime.faces import detector as detector_module
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.yunet import HEADS, Heads, YunetDecoder
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image

FILES = {
    "face_detection_yunet_2023mar.onnx": "2023mar and 2026may",
    "face_detection_yunet_2026may.onnx": "2023mar and 2026may",
    "yunet_n_dynamic.onnx": "yunet_n",
}
NET_ONLY_IN_OPENCV_5 = "yunet_n_dynamic.onnx"
LEVELS = (0.02, 0.3, 0.6, 0.9)


def as_rows(faces: list[Detection]) -> np.ndarray:
    rows = [np.concatenate([f.box, f.landmarks.ravel(), [f.confidence]]) for f in faces]
    return np.array(rows, np.float32).reshape(-1, 15)


def in_opencv_dnn(path: Path) -> Callable[[np.ndarray], Heads]:
    net = cv2.dnn.readNetFromONNX(str(path))

    def run(blob: np.ndarray) -> Heads:
        net.setInput(blob)
        outputs = [np.asarray(output, np.float32) for output in net.forward(HEADS)]
        return dict(zip(HEADS, outputs, strict=True))

    return run


@pytest.fixture(scope="module")
def photos(golden: Callable[[str], Any], images_dir: Path) -> list[tuple[dict[str, Any], np.ndarray]]:
    return [(entry, read_image(images_dir / entry["file"])) for entry in golden("yunet")["images"]]


@pytest.fixture(scope="module")
def yunet(weights_dir: Path) -> Path:
    return weights_dir / "face_detection_yunet_2023mar.onnx"


@pytest.mark.parametrize("file", FILES)
def test_detections_match_the_golden(
    weights_dir: Path, photos: list[tuple[dict[str, Any], np.ndarray]], file: str
) -> None:
    if file == NET_ONLY_IN_OPENCV_5 and cv2.__version__.startswith("4."):
        pytest.importorskip("onnxruntime")
    detectors = {level: Detector(weights_dir / file, level) for level in LEVELS}
    for entry, image in photos:
        found = {level: detector.detect(image) for level, detector in detectors.items()}
        assert {str(level): len(faces) for level, faces in found.items()} == entry["count"][FILES[file]]
        expected = np.array(entry["rows_0.6"][FILES[file]]).reshape(-1, 15)
        np.testing.assert_allclose(as_rows(found[0.6]), expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("level", LEVELS)
def test_own_decoding_is_facedetectoryns(
    yunet: Path, photos: list[tuple[dict[str, Any], np.ndarray]], level: float
) -> None:
    decoder = YunetDecoder(in_opencv_dnn(yunet), level)
    theirs = Detector(yunet, level, backend="opencv")
    assert theirs.engine == "FaceDetectorYN"
    for _, image in photos:
        np.testing.assert_allclose(decoder.rows(image), as_rows(theirs.detect(image)), rtol=0, atol=1e-3)


def test_files_that_opencv_cannot_load_run_in_a_backend(
    weights_dir: Path, photos: list[tuple[dict[str, Any], np.ndarray]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(detector_module, "_opencv_loads", lambda path: False)
    detector = Detector(weights_dir / NET_ONLY_IN_OPENCV_5)
    assert detector.engine == "onnxruntime"
    for entry, image in photos:
        expected = np.array(entry["rows_0.6"]["yunet_n"]).reshape(-1, 15)
        np.testing.assert_allclose(as_rows(detector.detect(image)), expected, rtol=0, atol=1e-3)


def test_the_engine_is_the_fastest_one_that_reads_the_file(
    weights_dir: Path, yunet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dynamic = weights_dir / NET_ONLY_IN_OPENCV_5
    assert Detector(yunet).engine == "onnxruntime"
    monkeypatch.setattr(detector_module, "available", lambda: ["openvino", "opencv"])
    assert Detector(yunet).engine == "FaceDetectorYN"
    if cv2.__version__.startswith("5."):
        assert Detector(dynamic, backend="opencv").engine == "FaceDetectorYN"
    else:
        assert Detector(dynamic).engine == "openvino"
        with pytest.raises(UnsupportedError, match=r"cannot read yunet_n_dynamic\.onnx; choose another backend"):
            Detector(dynamic, backend="opencv")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_every_backend_finds_the_same_faces_in_photos_of_any_size(
    yunet: Path, photos: list[tuple[dict[str, Any], np.ndarray]], backend: str
) -> None:
    theirs, ours = Detector(yunet, backend="opencv"), Detector(yunet, backend=backend)
    assert ours.engine == backend
    for _, image in photos[:: len(photos) // 4]:
        np.testing.assert_allclose(as_rows(ours.detect(image)), as_rows(theirs.detect(image)), rtol=0, atol=1e-3)


@pytest.mark.parametrize(("longest", "allowed"), [(480, 0.1), (320, 0.2)])
def test_a_shorter_longest_side_moves_faces_and_loses_none(
    yunet: Path, photos: list[tuple[dict[str, Any], np.ndarray]], longest: int, allowed: float
) -> None:
    whole, shrunk = Detector(yunet), Detector(yunet, longest=longest)
    sizes = set()
    for _, image in photos:
        expected, found = whole.detect(image), shrunk.detect(image)
        assert len(found) == len(expected)
        for face in expected:
            off = min(float(np.abs(face.landmarks - other.landmarks).max()) for other in found)
            assert off < allowed * face.box[2:].max()
            sizes.add(off > 0)
    assert True in sizes


def test_without_a_backend_the_message_names_the_extra(yunet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector_module, "_opencv_loads", lambda path: False)
    monkeypatch.setattr(detector_module, "available", lambda: ["opencv"])
    with pytest.raises(DependencyError, match=r"fiqa-edge\[onnxruntime\]"):
        Detector(yunet)


def test_the_default_file_is_looked_up(weights_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIQA_WEIGHTS_DIR", str(weights_dir))
    assert Detector().path == weights_dir / "face_detection_yunet_2023mar.onnx"


def test_pictures_without_faces_give_an_empty_list(golden: Callable[[str], Any], yunet: Path) -> None:
    detector, decoder = Detector(yunet), YunetDecoder(in_opencv_dnn(yunet))
    for entry in golden("yunet")["no_face"]["images"]:
        index, height, width, seed = entry["seeded_image"]
        image = seeded_image(index, height, width, seed)
        assert detector.detect(image) == []
        assert decoder.rows(image).shape == (0, 15)


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (3000, 2), (33, 31), (4, 20_000)])
def test_any_size_is_searched(yunet: Path, shape: tuple[int, int]) -> None:
    assert Detector(yunet).detect(np.full((*shape, 3), 128, np.uint8)) == []


@pytest.mark.parametrize("shape", [(40, 30), (30, 200), (300, 31)])
def test_narrow_pictures_give_the_same_in_every_engine(
    yunet: Path, images_dir: Path, shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    image = read_image(images_dir / "dlib/2007_007763.jpg")[190 : 190 + shape[0], 98 : 98 + shape[1]]
    opencv = Detector(yunet, 0.02, backend="opencv")
    monkeypatch.setattr(detector_module, "_opencv_loads", lambda path: False)
    own = Detector(yunet.with_name("face_detection_yunet_2026may.onnx"), 0.02)
    assert (opencv.engine, own.engine) == ("FaceDetectorYN", "onnxruntime")
    faces = as_rows(opencv.detect(image))
    assert len(faces) > 0
    np.testing.assert_allclose(as_rows(own.detect(image)), faces, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("file", "factor"), [("yakhyo/image0.jpg", 2), ("yakhyo/image0.jpg", 6), ("skimage/astronaut.png", 8)]
)
def test_faces_too_large_for_the_network_are_found_whole(yunet: Path, images_dir: Path, file: str, factor: int) -> None:
    image = read_image(images_dir / file)
    detector = Detector(yunet)
    expected = detector.detect(image)[0]
    size = (factor * image.shape[1], factor * image.shape[0])
    large = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    best, *others = detector.detect(large)
    off = np.abs(best.landmarks - expected.landmarks * factor).max() / (expected.box[2] * factor)
    assert off < 0.06
    assert best.confidence > 0.85
    for other in others:
        centre = other.box[:2] + other.box[2:] / 2
        assert not ((centre > best.box[:2]) & (centre < best.box[:2] + best.box[2:])).all()


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_clear_face_in_front_of_a_large_one_stays(yunet: Path, images_dir: Path, factor: int) -> None:
    """As a child in front of an adult, or the picture on a card: two faces at every size."""
    face = read_image(images_dir / "skimage/astronaut.png")[40:200, 150:300]
    canvas = np.full((640, 640, 3), 110, np.uint8)
    canvas[20:620, 40:600] = cv2.resize(face, (560, 600), interpolation=cv2.INTER_CUBIC)
    canvas[430:505, 140:210] = cv2.resize(face, (70, 75), interpolation=cv2.INTER_AREA)
    photo = np.asarray(cv2.resize(canvas, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC), np.uint8)
    small, large = sorted(Detector(yunet).detect(photo), key=lambda found: found.box[2])
    np.testing.assert_allclose(small.box / factor, [153, 443, 42, 51], atol=4)
    np.testing.assert_allclose(large.box / factor, [152, 115, 332, 403], atol=4)


def test_a_face_in_a_picture_of_20000_pixels_is_found(yunet: Path, images_dir: Path) -> None:
    face = np.asarray(cv2.resize(read_image(images_dir / "skimage/astronaut.png"), (2048, 2048)), np.uint8)
    image = np.full((2048, 20_000, 3), 128, np.uint8)
    image[:, 12_000:14_048] = face
    (found,) = Detector(yunet).detect(image)
    alone = Detector(yunet).detect(face)[0]
    assert np.abs(found.landmarks - alone.landmarks - [12_000, 0]).max() < 0.15 * alone.box[2]


def test_small_faces_of_a_larger_photo_are_opencvs(yunet: Path, images_dir: Path) -> None:
    image = np.asarray(cv2.resize(read_image(images_dir / "dlib/2007_007763.jpg"), None, fx=4, fy=4), np.uint8)
    height, width = image.shape[:2]
    theirs = cv2.FaceDetectorYN.create(str(yunet), "", (width, height), 0.6, 0.3, 5000).detect(image)[1]
    assert len(theirs) >= 7
    np.testing.assert_array_equal(as_rows(Detector(yunet, backend="opencv").detect(image)), theirs)


def test_images_that_are_no_photo_are_refused(yunet: Path) -> None:
    detector = Detector(yunet)
    images: list[Any] = [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.float32), np.zeros((0, 9, 3), np.uint8)]
    for image in images:
        with pytest.raises(InputError, match="uint8 BGR"):
            detector.detect(image)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no detector .*missing\.onnx; check"):
        Detector(tmp_path / "missing.onnx")


@pytest.mark.parametrize("kept", [0, 100, 10_000])
def test_a_file_that_is_no_yunet_is_refused(tmp_path: Path, yunet: Path, kept: int) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(yunet.read_bytes()[:kept])
    with pytest.raises(ArtefactError, match=r"is not a YuNet ONNX file; use face_detection_yunet_2023mar\.onnx"):
        Detector(path)


def test_a_damaged_yunet_is_refused(tmp_path: Path, yunet: Path) -> None:
    pytest.importorskip("onnxruntime")
    content = yunet.read_bytes()
    path = tmp_path / "damaged.onnx"
    path.write_bytes(b"\xff" * 2000 + content[2000:])
    with pytest.raises(ArtefactError, match=r"damaged\.onnx") as caught:
        Detector(path)
    assert "\n" not in str(caught.value)


def test_a_longest_side_without_room_for_a_face_is_refused(yunet: Path) -> None:
    with pytest.raises(InputError, match="longest side of 63 px is too small"):
        Detector(yunet, longest=63)


@pytest.mark.parametrize("bad", [{"min_confidence": -0.1}, {"min_confidence": 90}, {"nms": 1.5}])
def test_thresholds_outside_0_to_1_are_refused(yunet: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="choose a number from 0 to 1"):
        Detector(yunet, **bad)


def test_a_detector_that_is_not_the_file_of_its_card(yunet: Path, tmp_path: Path) -> None:
    path, spec = Path(shutil.copy(yunet, tmp_path)), MODELS["yunet-s"]
    card = Card(spec.name, "fp32", "onnx", spec.input, spec.outputs, spec.licence, spec.source, 1)
    write_card(with_files(card, tmp_path, [path.name]), path)
    Detector(path)
    with path.open("ab") as stream:
        stream.write(b"\x72\x00")  # one more, empty metadata entry: still a valid model
    for backend in ("onnxruntime", "opencv"):
        with pytest.raises(CardError, match="SHA-256 differs"):
            Detector(path, backend=backend)

"""Photo to scores: the golden of the whole chain, and what the pipeline asks of its parts."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_runtime.artefact.spec import Framing
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.command.batch import score_photos
from fiqa_runtime.errors import InputError, UnsupportedError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.images.align import METHODS, Method, arcface_crop, ffhq_crop
from fiqa_runtime.images.framing import FRAMES
from fiqa_runtime.images.preprocess import prepare
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.system.parallel import work_ahead, work_side_by_side

from tests.help.limits import HANGS

OPENCV_5 = cv2.__version__.startswith("5.")
KEYS = {"least-squares": "least_squares", "lmeds": "lmeds"}
LANDMARKS = np.array([[40, 40], [80, 42], [60, 60], [45, 80], [76, 81]], np.float32)


class RecordingScorer:
    """Scores crops by their order and remembers every call."""

    def __init__(self, framing: Framing) -> None:
        spec = MODELS["ediffiqa-t"].input
        self.card = SimpleNamespace(input=replace(spec, framing=framing))
        self.calls: list[list[np.ndarray]] = []

    def score(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        self.calls.append(list(crops))
        return np.arange(len(crops), dtype=np.float32) / 8


class FixedDetector:
    """Finds the same faces in every photo."""

    def __init__(self, *shifts: float) -> None:
        self.shifts = shifts

    def detect(self, image: np.ndarray) -> list[Detection]:
        box = np.array([30, 20, 60, 70], np.float32)
        return [Detection(box + s, LANDMARKS + np.float32(s), 0.9) for s in self.shifts]


class SeededTorchScorer:
    """Seeded eDifFIQA(T) in torch, float32: the reference, no artefact between."""

    def __init__(self) -> None:
        torch = pytest.importorskip("torch")
        from fiqa_export.checkpoints.seeded import load_seeded
        from fiqa_export.models import build

        self.card = SimpleNamespace(input=MODELS["ediffiqa-t"].input)
        model = load_seeded(build("ediffiqa-t"))

        def run(blob: np.ndarray) -> np.ndarray:
            return np.asarray(model.outputs(torch.from_numpy(blob))["score"], np.float32)

        self._run = run

    def score(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        return self._run(prepare(crops, self.card.input))[:, 0]


@pytest.fixture(scope="module")
def torch_scorer() -> SeededTorchScorer:
    return SeededTorchScorer()


@pytest.mark.parametrize("align", METHODS)
def test_the_whole_chain_matches_the_golden(
    golden: Callable[[str], Any],
    images_dir: Path,
    weights_dir: Path,
    torch_scorer: SeededTorchScorer,
    align: Method,
) -> None:
    detector = Detector(weights_dir / "face_detection_yunet_2023mar.onnx")
    quality = FaceQuality(torch_scorer, detector, align)
    for entry in golden("pipeline-ediffiqa-t")["images"]:
        faces = quality.assess(read_image(images_dir / entry["file"]))
        expected = [face[KEYS[align]] for face in entry["faces"]]
        scores = [face["score32" if OPENCV_5 else "score32_opencv_4.13.0"] for face in expected]
        np.testing.assert_allclose([face.quality for face in faces], scores, rtol=0, atol=5e-4)
        boxes = [face["box"] for face in entry["faces"]]
        np.testing.assert_allclose([face.box for face in faces], boxes, rtol=0, atol=1e-3)
        confidences = [face["detector_score"] for face in entry["faces"]]
        np.testing.assert_allclose([face.confidence for face in faces], confidences, rtol=0, atol=1e-5)


def test_all_faces_of_a_photo_are_scored_in_one_call() -> None:
    scorer, image = RecordingScorer("arcface-112"), seeded_image(0, 150, 150)
    faces = FaceQuality(scorer, FixedDetector(0, 5, 20)).assess(image)
    assert [face.quality for face in faces] == [0.0, 0.125, 0.25]
    assert len(scorer.calls) == 1
    for face, crop in zip(faces, scorer.calls[0], strict=True):
        np.testing.assert_array_equal(crop, arcface_crop(image, face.landmarks))


class LoggingDetector(FixedDetector):
    """Says when it works, and waits until the test lets it go on."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(0)
        self.log = log
        self.go_on = threading.Event()

    def detect(self, image: np.ndarray) -> list[Detection]:
        self.log.append(f"find {image[0, 0, 0]}")
        if image[0, 0, 0] == 2:
            self.go_on.set()
        return super().detect(image)


class WaitingScorer(RecordingScorer):
    """Scores the first photo only once the second one is being searched."""

    def __init__(self, log: list[str], second: threading.Event) -> None:
        super().__init__("arcface-112")
        self.log, self.second = log, second

    def score(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        assert self.second.wait(HANGS)
        self.log.append("score")
        return super().score(crops)


def test_the_next_frame_is_searched_while_one_is_scored() -> None:
    log: list[str] = []
    detector = LoggingDetector(log)
    scorer = WaitingScorer(log, detector.go_on)
    frames = [np.full((150, 150, 3), value, np.uint8) for value in (1, 2, 3)]
    results = list(FaceQuality(scorer, detector).assess_all(frames))
    assert [len(faces) for faces in results] == [1, 1, 1]
    assert log[:3] == ["find 1", "find 2", "score"]
    means = [crops[0].max() for crops in scorer.calls]
    assert means == [1, 2, 3]


def test_an_overlapped_stream_raises_in_the_place_of_the_result(tmp_path: Path, images_dir: Path) -> None:
    quality = FaceQuality(RecordingScorer("arcface-112"), FixedDetector(0))
    with pytest.raises(ZeroDivisionError):
        next(work_ahead(lambda n: 1 // n, [0]))
    photos = [images_dir / "yakhyo/image1.jpg", tmp_path / "missing.jpg", images_dir / "yakhyo/image2.jpg"]
    alone, together = (list(score_photos(photos, quality, overlap)) for overlap in (False, True))
    assert [result.path for result, _ in together] == photos
    assert [str(result.error) for result, _ in together] == [str(result.error) for result, _ in alone]
    assert [result.as_json() for result, _ in together] == [result.as_json() for result, _ in alone]


def test_workers_side_by_side_keep_the_order_and_never_share() -> None:
    barrier, busy, drawn = threading.Barrier(2), set[str](), []

    def work(worker: str, item: int) -> int:
        assert worker not in busy
        busy.add(worker)
        if item < 2:
            barrier.wait(HANGS)  # passes only with two items at once
        busy.remove(worker)
        if item == 7:
            raise ZeroDivisionError
        return item

    def items() -> Iterator[int]:
        for item in range(20):
            drawn.append(item)
            yield item

    results = work_side_by_side(work, ["a", "b"], items())
    assert next(results) == 0
    assert len(drawn) <= 5
    assert [next(results) for _ in range(6)] == list(range(1, 7))
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_a_caller_that_stops_is_not_kept_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The item that is under way when the caller stops ends only once the ones behind it could have been called off."""
    begun: list[int] = []
    under_way, go_on = threading.Event(), threading.Event()
    shut_down = ThreadPoolExecutor.shutdown

    def work(worker: str, item: int) -> int:
        begun.append(item)
        if item > 0:
            under_way.set()
            assert go_on.wait(HANGS)
        return item

    def shutdown(pool: ThreadPoolExecutor, wait: bool = True, *, cancel_futures: bool = False) -> None:
        shut_down(pool, wait=False, cancel_futures=cancel_futures)
        go_on.set()
        shut_down(pool, wait)

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", shutdown)
    results = work_side_by_side(work, ["a"], range(20))
    assert next(results) == 0
    assert under_way.wait(HANGS)
    results.close()  # type: ignore[attr-defined]  # the iterator is a generator
    assert begun == [0, 1]


def test_streams_give_what_one_gives(images_dir: Path, tmp_path: Path) -> None:
    qualities = [FaceQuality(RecordingScorer("arcface-112"), FixedDetector(0)) for _ in range(3)]
    photos = [*sorted((images_dir / "yakhyo").iterdir()), tmp_path / "missing.jpg"]
    alone = list(score_photos(photos, qualities[0]))
    together = list(score_photos(photos, qualities[0], more=qualities[1:]))
    assert [result.as_json() for result, _ in together] == [result.as_json() for result, _ in alone]


def test_lmeds_is_used_where_it_is_asked_for() -> None:
    scorer, image = RecordingScorer("arcface-112"), seeded_image(0, 150, 150)
    FaceQuality(scorer, FixedDetector(0), align="lmeds").assess(image)
    np.testing.assert_array_equal(scorer.calls[0][0], arcface_crop(image, LANDMARKS, "lmeds"))
    assert (scorer.calls[0][0] != arcface_crop(image, LANDMARKS)).any()


def test_networks_that_want_heads_get_heads() -> None:
    scorer, image = RecordingScorer("ffhq"), seeded_image(0, 150, 150)
    FaceQuality(scorer, FixedDetector(0)).assess(image)
    np.testing.assert_array_equal(scorer.calls[0][0], ffhq_crop(image, LANDMARKS, 256))


def test_a_photo_without_faces_is_not_scored() -> None:
    scorer = RecordingScorer("arcface-112")
    assert FaceQuality(scorer, FixedDetector()).assess(seeded_image(0, 40, 40)) == []
    assert scorer.calls == []


@pytest.mark.parametrize("framing", [name for name, frame in FRAMES.items() if frame.cut is None])
def test_crops_that_five_landmarks_do_not_give_are_refused(framing: Framing) -> None:
    with pytest.raises(UnsupportedError, match=rf"{framing} crop; use PortraitQuality"):
        FaceQuality(RecordingScorer(framing), FixedDetector(0))


def test_faces_know_their_crop_and_become_plain_data() -> None:
    image = seeded_image(0, 150, 150)
    (face,) = FaceQuality(RecordingScorer("arcface-112"), FixedDetector(0)).assess(image)
    assert face.crop is not None
    np.testing.assert_array_equal(face.crop, arcface_crop(image, LANDMARKS))
    plain = json.loads(json.dumps(face.as_dict()))
    assert plain == {
        "quality": 0.0,
        "confidence": 0.9,
        "box": [30.0, 20.0, 60.0, 70.0],
        "landmarks": LANDMARKS.tolist(),
    }


def test_photos_come_as_arrays_and_as_paths(tmp_path: Path) -> None:
    image, quality = seeded_image(0, 150, 150), FaceQuality(RecordingScorer("arcface-112"), FixedDetector(0))
    cv2.imwrite(str(tmp_path / "photo.png"), image)
    for faces in (quality.assess(str(tmp_path / "photo.png")), *quality.assess_all([tmp_path / "photo.png", image])):
        np.testing.assert_array_equal(faces[0].crop, arcface_crop(image, LANDMARKS))


def test_a_photo_must_be_uint8_bgr(weights_dir: Path) -> None:
    detector = Detector(weights_dir / "face_detection_yunet_2023mar.onnx")
    with pytest.raises(InputError, match="uint8 BGR"):
        FaceQuality(RecordingScorer("ffhq"), detector).assess(np.zeros((8, 8), np.uint8))


def test_faces_of_a_huge_photo_are_scored_like_those_of_the_small_one(
    images_dir: Path, weights_dir: Path, torch_scorer: SeededTorchScorer
) -> None:
    quality = FaceQuality(torch_scorer, Detector(weights_dir / "face_detection_yunet_2023mar.onnx"))
    image = read_image(images_dir / "skimage/astronaut.png")
    wide = np.zeros((512, 20_000, 3), np.uint8)
    wide[:, :512] = image
    assert len(quality.assess(image)) == 1
    assert quality.assess(wide) == []
    large = np.asarray(cv2.resize(image, (5120, 5120), interpolation=cv2.INTER_CUBIC), np.uint8)
    best = quality.assess(large)[0]
    assert best.box[2] > 800
    assert np.isfinite(best.quality)

"""MTCNN finds what facenet-pytorch's finds, in every backend; presets, precisions, threads and bad input."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.errors import CardError, FiqaError, InputError
from fiqa_runtime.faces.detection import Detection, finder_settings
from fiqa_runtime.faces.mtcnn_detector import PRESETS, MtcnnDetector, PresetName, find_mtcnn
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image

from tests.help.samples.cards import card_beside_alone
from tests.help.samples.mtcnn_engines import NAMES, astronaut, export_mtcnn
from tests.help.threads import in_threads

PIXELS, SCORE = 1e-3, 1e-5
"""Allowed deviation from the golden, in pixels and of the score."""


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_mtcnn(tmp_path_factory.mktemp("mtcnn"))


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return read_image(astronaut())


@pytest.fixture(scope="module")
def detector(engines: Path) -> MtcnnDetector:
    return MtcnnDetector(engines, backend="onnxruntime")


def check(faces: list[Detection], wanted: list[dict[str, Any]], what: str) -> None:
    """The golden has the largest face first, the detector the surest."""
    wanted = sorted(wanted, key=lambda face: -float(face["p"]))
    assert len(faces) == len(wanted), what
    for face, golden in zip(faces, wanted, strict=True):
        corners = [*face.box[:2], *(face.box[:2] + face.box[2:])]
        np.testing.assert_allclose(corners, golden["box"], atol=PIXELS, rtol=0, err_msg=what)
        np.testing.assert_allclose(face.landmarks, golden["l"], atol=PIXELS, rtol=0, err_msg=what)
        assert face.confidence == pytest.approx(golden["p"], abs=SCORE)


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_the_golden_of_a_photo_that_a_package_brings(
    backend: str, engines: Path, photo: np.ndarray, golden: Callable[[str], Any]
) -> None:
    faces = MtcnnDetector(engines, backend=backend, threads=1).detect(photo)
    check(faces, golden("mtcnn")["images"]["skimage/astronaut.png"], backend)


@pytest.mark.parametrize("backend", ONNX_BACKENDS)
def test_the_golden_of_every_photo(backend: str, engines: Path, golden: Callable[[str], Any], images_dir: Path) -> None:
    detector = MtcnnDetector(engines, backend=backend)
    for name, wanted in golden("mtcnn")["images"].items():
        check(detector.detect(read_image(images_dir / name)), wanted, name)


def test_cr_fiqas_script_feeds_blue_for_red_and_takes_the_largest_face(engines: Path, photo: np.ndarray) -> None:
    small = photo[40:200:2, 150:300:2]
    both = np.vstack([photo, np.pad(small, ((20, 20), (20, 512 - 95), (0, 0)))])
    swapped = np.ascontiguousarray(both[:, :, ::-1])
    plain = MtcnnDetector(engines, backend="onnxruntime").detect(swapped)
    assert len(plain) == 2
    largest = max(plain, key=lambda face: float(face.box[2] * face.box[3]))
    (face,) = MtcnnDetector(engines, "cr-fiqa", "onnxruntime").detect(both)
    np.testing.assert_array_equal(face.box, largest.box)
    np.testing.assert_array_equal(face.landmarks, largest.landmarks)


def test_every_preset_has_an_entry() -> None:
    assert set(PRESETS) == set(get_args(PresetName))


@pytest.mark.parametrize("size", [(1, 1), (11, 40), (12, 12), (19, 300), (20, 20), (300, 21)])
def test_photos_of_any_size_without_a_face(detector: MtcnnDetector, size: tuple[int, int]) -> None:
    assert detector.detect(np.full((*size, 3), 90, np.uint8)) == []


def test_a_shrunk_photo_gives_places_in_the_photo(engines: Path, photo: np.ndarray, detector: MtcnnDetector) -> None:
    (whole,) = detector.detect(photo)
    (half,) = MtcnnDetector(engines, backend="onnxruntime", longest=256).detect(photo)
    assert np.abs(half.landmarks - whole.landmarks).max() < 0.1 * float(whole.box[2])


def test_results_name_detector_and_preset(engines: Path) -> None:
    told = finder_settings(MtcnnDetector(engines, "cr-fiqa", "onnxruntime"))
    assert (told["detector"], told["preset"]) == ("mtcnn", "cr-fiqa")
    assert told["detector_files"] == [f"{name}.fp32.onnx" for name in NAMES]


def test_threads_and_copies_find_the_same(detector: MtcnnDetector, photo: np.ndarray) -> None:
    (expected,) = detector.detect(photo)
    copy = pickle.loads(pickle.dumps(detector))

    def find(index: int) -> None:
        (face,) = (detector, copy)[index % 2].detect(photo)
        np.testing.assert_array_equal(face.landmarks, expected.landmarks)

    assert not in_threads(8, find)


def test_one_file_names_the_precision_of_all(engines: Path, tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / f"{name}.fp32.onnx").touch()
        (tmp_path / f"{name}.int8.onnx").touch()
    assert [path.name for path in find_mtcnn(tmp_path)] == [f"{name}.fp32.onnx" for name in NAMES]
    assert [path.name for path in find_mtcnn(tmp_path / "mtcnn-r.int8.onnx")] == [f"{name}.int8.onnx" for name in NAMES]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"min_confidence": 1.5}, "min_confidence is 1.5; choose"),
        ({"smallest": 11}, "no faces of 11 px; choose 12 or more"),
        ({"longest": 5}, "longest side of 5 px"),
        ({"preset": "adience"}, "unknown preset 'adience'; choose facenet or cr-fiqa"),
    ],
)
def test_settings_out_of_range(engines: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        MtcnnDetector(engines, **settings)


def test_a_missing_artefact_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    (tmp_path / "mtcnn-p.fp32.onnx").touch()
    with pytest.raises(InputError, match=r"no mtcnn-r\.fp32\.onnx; make it with fiqa-export mtcnn --out"):
        MtcnnDetector(tmp_path)


@pytest.mark.parametrize(("change", "says"), [({"model": "mtcnn-o"}, "is mtcnn-o and not mtcnn-r"), ({}, "raw pixels")])
def test_an_artefact_of_another_kind(engines: Path, tmp_path: Path, change: dict[str, Any], says: str) -> None:
    folder = Path(shutil.copytree(engines, tmp_path / "engines"))
    path = folder / "mtcnn-r.fp32.onnx"
    card = read_card(path)
    card = replace(card, **change) if change else replace(card, input=replace(card.input, raw=True))
    card_beside_alone(card, path)
    with pytest.raises(CardError, match=says):
        MtcnnDetector(folder, backend="onnxruntime")


def test_what_is_no_photo_is_refused(detector: MtcnnDetector) -> None:
    with pytest.raises(FiqaError, match="uint8 BGR"):
        detector.detect(seeded_image(0, 20, 20)[:, :, 0])

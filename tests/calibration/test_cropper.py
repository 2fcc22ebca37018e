"""Photos to crops, for calibration and for the parity check."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_calibration.candidates import FacelessError, folder_candidates
from fiqa_calibration.cropper import Cropper
from fiqa_calibration.dataset import MINIMUM, choose
from fiqa_calibration.parity_set import folder_pictures
from fiqa_export.int8.calibration import calibration_images
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.errors import FetchError, InputError
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.images.align import STANDARD, arcface_crop
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.system.progress import silent

SPEC = MODELS["ediffiqa-t"].input
LANDMARKS = STANDARD + 20


class Eyes:
    """Instead of YuNet: finds one face, in the same place, unless the first pixel is black."""

    opened = 0
    looked = 0

    def __init__(self) -> None:
        type(self).opened += 1

    def detect(self, image: Image) -> list[Detection]:
        type(self).looked += 1
        box = np.array([20, 20, 112, 112], np.float32)
        return [Detection(box, LANDMARKS, 0.9)] if image[0, 0].any() else []


@pytest.fixture
def eyes(monkeypatch: pytest.MonkeyPatch) -> type[Eyes]:
    monkeypatch.setattr("fiqa_calibration.cropper.Detector", Eyes)
    monkeypatch.setattr(Eyes, "opened", 0)
    monkeypatch.setattr(Eyes, "looked", 0)
    return Eyes


def save(folder: Path, height: int, width: int, faces: int, faceless: int = 0) -> Path:
    """Pictures `0.png`, ... with a face and `x0.png`, ... without one, to the eyes of :class:`Eyes`."""
    folder.mkdir(exist_ok=True)
    for i in range(faces + faceless):
        picture = seeded_image(i, height, width).copy()
        picture[0, 0] = 255 * (i < faces)
        cv2.imwrite(str(folder / (f"{i}.png" if i < faces else f"x{i - faces}.png")), picture)
    return folder


def test_crops_are_taken_as_they_are_and_open_no_detector(eyes: type[Eyes], tmp_path: Path) -> None:
    path = save(tmp_path, 112, 112, 1) / "0.png"
    assert (Cropper(SPEC)(path) == read_image(path)).all()
    assert eyes.opened == 0


@pytest.mark.parametrize("side", [96, 200])
def test_square_of_another_size_is_a_photo_to_aligned_networks(eyes: type[Eyes], tmp_path: Path, side: int) -> None:
    path = save(tmp_path, side, side, 1) / "0.png"
    assert (Cropper(SPEC)(path) == arcface_crop(read_image(path), LANDMARKS)).all()


def test_square_of_another_size_is_a_crop_of_a_head(eyes: type[Eyes], tmp_path: Path) -> None:
    path = save(tmp_path, 200, 200, 1) / "0.png"
    assert Cropper(MODELS["ifqa"].input)(path).shape == (200, 200, 3)
    assert eyes.opened == 0


@pytest.mark.parametrize("network", ["dsl-fiqa", "facexformer"])
def test_portraits_are_never_searched(eyes: type[Eyes], tmp_path: Path, network: str) -> None:
    path = save(tmp_path, 150, 300, 1) / "0.png"
    assert Cropper(MODELS[network].input)(path).shape == (150, 300, 3)
    assert eyes.opened == 0


def test_photo_without_a_face_is_refused_by_name(eyes: type[Eyes], tmp_path: Path) -> None:
    with pytest.raises(FacelessError, match=r"x0\.png shows no face"):
        Cropper(SPEC)(save(tmp_path, 150, 200, 0, 1) / "x0.png")


def test_detector_is_opened_once_and_looks_once_at_a_photo(eyes: type[Eyes], tmp_path: Path) -> None:
    save(tmp_path, 150, 200, 2)
    cropper = Cropper(SPEC)
    first = [cropper(tmp_path / name) for name in ("0.png", "1.png")]
    again = [cropper(tmp_path / name) for name in ("0.png", "1.png")]
    assert (eyes.opened, eyes.looked) == (1, 2)
    assert (np.array(first) == again).all()


def test_calibration_takes_photos_and_crops_and_counts_the_faceless(eyes: type[Eyes], tmp_path: Path) -> None:
    save(tmp_path, 150, 200, MINIMUM, 2)
    cv2.imwrite(str(tmp_path / "crop.png"), seeded_image(99, 112, 112))
    chosen = choose(folder_candidates(tmp_path, Cropper(SPEC)), SPEC, None)
    assert len(chosen) == MINIMUM + 1
    assert {image.shape for image in chosen.images()} == {(112, 112, 3)}
    assert chosen.left_out.faceless == ["x0.png", "x1.png"]
    assert not chosen.left_out.unreadable
    assert not chosen.left_out.misfits


def test_calib_folder_is_read_by_a_cropper(eyes: type[Eyes], tmp_path: Path) -> None:
    folder = save(tmp_path / "photos", 150, 200, MINIMUM, 1)
    scoreless = replace(MODELS["ediffiqa-t"], outputs=())
    images = calibration_images(str(folder), scoreless, (112, 112), Path("unused"), lambda _: {}, silent)
    assert {image.shape for image in images.whole.images()} == {(112, 112, 3)}
    assert images.whole.left_out.faceless == ["x0.png"]


def test_folder_of_crops_of_another_size_is_refused_with_what_is_wanted(eyes: type[Eyes], tmp_path: Path) -> None:
    save(tmp_path, 96, 96, 0, 40)
    with pytest.raises(InputError) as caught:
        choose(folder_candidates(tmp_path, Cropper(SPEC)), SPEC, None)
    line = str(caught.value)
    assert "40 of another size and without a face (x0.png)" in line
    assert line.endswith("at least 32 different ones, better 256: photos with a face, or crops of 112 x 112 pixels")
    assert "\n" not in line


def test_parity_check_takes_the_same(eyes: type[Eyes], tmp_path: Path) -> None:
    save(tmp_path, 200, 200, 2, 1)
    pictures, left_out = folder_pictures(tmp_path, SPEC)
    assert [picture.shape for picture in pictures] == [(112, 112, 3)] * 2
    assert left_out == ("x0.png",)
    with pytest.raises(InputError, match="give photos with a face, or crops of 112 x 112 pixels"):
        folder_pictures(save(tmp_path / "none", 200, 200, 0, 2), SPEC)
    portraits = MODELS["facexformer"].input
    save(tmp_path / "wide", 100, 900, 0, 1)
    with pytest.raises(InputError, match=r"\(x0\.png has 900 x 100 pixels\)"):
        folder_pictures(tmp_path / "wide", portraits)


def test_photos_without_a_detector_are_refused_and_not_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Detector:
        raise FetchError("cannot fetch the detector; put it into weights/")

    monkeypatch.setattr("fiqa_calibration.cropper.Detector", absent)
    save(tmp_path, 150, 200, 40)
    with pytest.raises(FetchError, match="cannot fetch"):
        choose(folder_candidates(tmp_path, Cropper(SPEC)), SPEC, None)


def test_yunet_cuts_the_surest_face_out_of_real_photos(images_dir: Path, weights_dir: Path) -> None:
    cropper = Cropper(SPEC)
    for path in find_images([images_dir / "dlib"]):
        photo = read_image(path)
        assert (cropper(path) == arcface_crop(photo, Detector().detect(photo)[0].landmarks)).all()

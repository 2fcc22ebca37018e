"""Every way in which a folder cannot calibrate, and images that cannot serve a network."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_calibration.candidates import fits, folder_candidates, seeded_candidates
from fiqa_calibration.dataset import MINIMUM, choose
from fiqa_export.models import Reference
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image

from tests.help.samples.calibration_folder import brightness, chosen_from, crops, save


def test_unreadable_files_are_counted_and_not_fatal(folder: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"no image")
    (folder / "empty.png").touch()
    chosen = chosen_from(folder)
    assert chosen.left_out.unreadable == ["broken.jpg", "empty.png"]
    assert len(chosen) == 40


def test_fewer_than_32_images_are_refused_with_the_reason(tmp_path: Path) -> None:
    folder = save(tmp_path / "few", crops(MINIMUM - 1))
    (folder / "broken.jpg").write_bytes(b"no image")
    cv2.imwrite(str(folder / "copy.png"), read_image(folder / "000.png"))
    cv2.imwrite(str(folder / "photo.png"), seeded_image(0, 100, 200))
    with pytest.raises(InputError) as error:
        chosen_from(folder)
    line = str(error.value)
    assert "31 of 34 images" in line
    assert "1 unreadable (broken.jpg)" in line
    assert "1 near-copies of others (copy.png)" in line
    assert "photo.png" in line
    assert "at least 32" in line
    assert "\n" not in line


def test_exactly_32_images_are_enough(tmp_path: Path) -> None:
    assert len(chosen_from(save(tmp_path / "enough", crops(MINIMUM)), 256)) == MINIMUM


def test_asking_for_too_few_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="at least 32"):
        chosen_from(folder, MINIMUM - 1)


def test_empty_and_missing_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("empty", "missing"):
        with pytest.raises(InputError, match=name):
            folder_candidates(tmp_path / name)


def test_crops_of_a_wrong_size_are_refused_where_they_cannot_be_used(folder: Path) -> None:
    with pytest.raises(InputError, match="384 x 384"):
        choose(folder_candidates(folder), MODELS["dsl-fiqa"].input, brightness)


@pytest.mark.parametrize(
    ("model", "height", "width", "usable"),
    [
        ("ediffiqa-t", 112, 112, True),
        ("ediffiqa-t", 96, 96, False),
        ("ediffiqa-t", 200, 200, False),
        ("ediffiqa-t", 112, 113, False),
        ("ifqa", 250, 250, True),
        ("ifqa", 259, 260, True),
        ("ifqa", 375, 500, False),
        ("dsl-fiqa", 512, 512, True),
        ("dsl-fiqa", 385, 1000, True),
        ("dsl-fiqa", 384, 384, True),
        ("dsl-fiqa", 384, 512, False),
        ("yunet-n", 375, 500, True),
    ],
)
def test_what_fits_a_network(model: str, height: int, width: int, usable: bool) -> None:
    assert fits(np.zeros((height, width, 3), np.uint8), MODELS[model].input) is usable


@pytest.mark.parametrize("model", MODELS)
def test_seeded_images_fit_every_network(model: str) -> None:
    spec = MODELS[model]
    image = seeded_candidates(*Reference(spec).calibration_size, 1)[0].read()
    assert fits(image, spec.input)


@pytest.mark.parametrize("change", ["exchanged", "deleted"])
def test_a_file_that_changes_meanwhile_is_noticed(folder: Path, change: str) -> None:
    chosen = chosen_from(folder)
    path = folder / chosen.chosen[0].candidate.name
    if change == "deleted":
        path.unlink()
    else:
        cv2.imwrite(str(path), seeded_image(900, 112, 112))
    with pytest.raises(InputError, match="start again"):
        next(chosen.images())

"""The degradation ladder, and whether scores stay monotone on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fiqa_calibration.monotone import monotony
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.ladder import KINDS, PRISTINE, STRENGTHS, Rung, degrade, ladders
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.images.seeded import rng, seeded_image


def picture(size: int = 64) -> Image:
    """Checkers of four sizes on a ramp that starts in the dark: something for every step to take away."""
    y, x = np.mgrid[:size, :size]
    checkers = sum(12.0 * (((y // side + x // side) % 2) * 2 - 1) for side in (2, 6, 16, 30))
    ramp = 50 + 40 * x / size
    return np.stack([ramp + checkers, ramp + 20 + checkers, 2 * ramp + checkers], axis=2).clip(5).astype(np.uint8)


def test_ten_photos_give_at_least_three_hundred_images() -> None:
    rungs = [rung for rung, _ in ladders(seeded_image(i, 32, 32) for i in range(10))]
    assert len(rungs) == 10 * (1 + len(KINDS) * STRENGTHS) >= 300
    assert {rung.source for rung in rungs} == set(range(10))
    assert len({(rung.source, rung.kind, rung.strength) for rung in rungs}) == len(rungs)


def test_photos_are_taken_one_at_a_time() -> None:
    taken: list[int] = []

    def photos() -> Iterator[np.ndarray]:
        for i in range(3):
            taken.append(i)
            yield picture(32)

    next(ladders(photos()))
    assert taken == [0]


def test_same_photos_same_pictures_and_other_noise_on_each() -> None:
    made = [image for _, image in ladders([picture(), picture()])]
    again = [image for _, image in ladders([picture(), picture()])]
    assert all(np.array_equal(a, b) for a, b in zip(made, again, strict=True))
    half = len(made) // 2
    differing = [not np.array_equal(a, b) for a, b in zip(made[:half], made[half:], strict=True)]
    assert sum(differing) == 2 * STRENGTHS, "noise and occlusion are all that chance decides"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(64, 64), (48, 90), (7, 5)])
def test_degradation_keeps_shape_and_type_and_leaves_its_input_alone(kind: str, shape: tuple[int, int]) -> None:
    image = seeded_image(3, *shape)
    before = image.copy()
    degraded, parameters = degrade(image, kind, 0.6, rng("test"))
    assert degraded.shape == image.shape
    assert degraded.dtype == np.uint8
    assert parameters
    assert np.array_equal(image, before)


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_is_farther_from_the_photo(kind: str) -> None:
    photo = picture(112)
    images = [image for rung, image in ladders([photo]) if rung.kind in (PRISTINE, kind)]
    distance = [float(np.abs(image.astype(float) - photo).mean()) for image in images]
    assert all(later > earlier for earlier, later in pairwise(distance)), distance


def test_blur_looks_alike_at_every_size() -> None:
    sigma = [degrade(picture(size), "blur", 0.5, rng("test"))[1]["sigma"] / size for size in (56, 112, 224)]
    assert sigma == pytest.approx([sigma[0]] * 3)


def test_occluder_grows_around_its_place() -> None:
    boxes = [rung.parameters for rung, _ in ladders([picture(100)]) if rung.kind == "occlusion"]
    for small, large in pairwise(boxes):
        assert large["left"] <= small["left"]
        assert large["top"] <= small["top"]
        assert large["left"] + large["width"] >= small["left"] + small["width"]
        assert large["top"] + large["height"] >= small["top"] + small["height"]
        assert large["colour"] == small["colour"]
    assert boxes[-1]["width"] * boxes[-1]["height"] == pytest.approx(7000, rel=0.02)


def test_recorded_parameters_reproduce_the_picture() -> None:
    photo = picture(80)
    for rung, image in ladders([photo]):
        if rung.kind == "darkening":
            assert np.array_equal(image, np.rint(photo * rung.parameters["gain"]).astype(np.uint8))


def test_rungs_are_plain_data() -> None:
    rungs = [rung for rung, _ in ladders([picture(32)])]
    assert [Rung(**entry) for entry in json.loads(json.dumps([asdict(rung) for rung in rungs]))] == rungs


def test_amount_zero_is_the_photo() -> None:
    photo = picture()
    assert degrade(photo, "noise", 0.0, rng("test")) == (photo, {})


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)])
def test_other_arrays_are_refused(bad: Image) -> None:
    with pytest.raises(InputError, match=r"cv2\.imread"):
        list(ladders([bad]))


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(InputError, match="blur, resampling"):
        degrade(picture(), "haze", 0.5, rng("test"))


def test_real_photos_of_any_size(images_dir: Path) -> None:
    photos = [read_image(path) for path in find_images([images_dir])[:2]]
    for rung, image in ladders(photos):
        assert image.shape == photos[rung.source].shape


def rungs_of(sources: int) -> list[Rung]:
    return [rung for rung, _ in ladders(seeded_image(i, 16, 16) for i in range(sources))]


def falling(rungs: list[Rung]) -> np.ndarray:
    return np.array([1 - 0.1 * rung.strength - 0.01 * rung.source for rung in rungs])


def test_identical_scores_keep_every_ladder() -> None:
    rungs = rungs_of(2)
    result = monotony(rungs, falling(rungs), falling(rungs))
    assert (result.ladders, result.reference, result.kept, result.broken) == (14, 14, 14, ())
    assert str(result) == "14 of 14 monotone ladders stay monotone (14 in all)"


@pytest.mark.parametrize("direction", [1, -1])
def test_one_wrong_step_breaks_its_ladder(direction: int) -> None:
    rungs = rungs_of(2)
    reference = direction * falling(rungs)
    other = reference.copy()
    place = rungs.index(next(rung for rung in rungs if (rung.source, rung.kind, rung.strength) == (1, "jpeg", 3)))
    other[place] += direction * 0.151
    result = monotony(rungs, reference, other)
    assert result.kept == 13
    assert [(ladder.source, ladder.kind) for ladder in result.broken] == [(1, "jpeg")]
    assert result.broken[0].step == pytest.approx(0.051 / np.ptp(reference))
    assert "jpeg of photo 1" in str(result)
    assert json.loads(json.dumps(result.as_json()))["kept"] == 13


def test_ladders_that_the_reference_breaks_do_not_count() -> None:
    rungs = rungs_of(1)
    reference = falling(rungs)
    reference[3] += 0.5
    result = monotony(rungs, reference, falling(rungs))
    assert (result.ladders, result.reference, result.kept) == (7, 6, 6)


def test_a_ladder_that_turns_round_is_broken() -> None:
    rungs = rungs_of(1)
    assert monotony(rungs, falling(rungs), -falling(rungs)).kept == 0


def test_a_flat_ladder_may_go_either_way_but_not_both() -> None:
    rungs = rungs_of(1)
    flat = np.zeros(len(rungs))
    zigzag = np.array([rung.strength % 2 for rung in rungs], float)
    assert monotony(rungs, flat, falling(rungs)).kept == 7
    assert monotony(rungs, flat, zigzag).kept == 0


def test_wrong_lists_are_refused() -> None:
    rungs = rungs_of(1)
    scores = falling(rungs)
    with pytest.raises(InputError, match="one score per picture"):
        monotony(rungs[:-1], scores, scores)
    with pytest.raises(InputError, match="pristine"):
        monotony(rungs[1:], scores[1:], scores[1:])

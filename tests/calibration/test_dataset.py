"""Choosing calibration images: spread over the qualities, near-copies left out, hashes and the manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_calibration.candidates import Candidate, folder_candidates, seeded_candidates
from fiqa_calibration.dataset import BATCH, LIMIT, CalibrationSet, choose
from fiqa_calibration.duplicates import Thumbnails
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.ladder import ladders
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.images.seeded import seeded_image
from numpy.typing import NDArray

from tests.help.samples.calibration_folder import HEADS, SPEC, brightness, chosen_from, save


def graded(levels: Sequence[int]) -> list[Candidate]:
    """Different pictures whose score by `first_pixel` is the level."""

    def candidate(i: int, level: int) -> Candidate:
        image = seeded_image(i, 16, 16).copy()
        image[0, 0] = level
        return Candidate(f"{i}", lambda: image, lambda: f"{i}")

    return [candidate(i, level) for i, level in enumerate(levels)]


def first_pixel(images: Sequence[Image]) -> NDArray[np.float32]:
    return np.array([image[0, 0, 0] for image in images], np.float32)


def scores_of(chosen: CalibrationSet) -> list[float]:
    return [item.score for item in chosen.chosen if item.score is not None]


def test_every_tenth_of_the_quality_range_gives_the_same_number(folder: Path) -> None:
    everything = np.sort([brightness([read_image(path)])[0] for path in find_images([folder])])
    scores = np.array([item.score for item in chosen_from(folder).chosen])
    assert (np.diff(scores) >= 0).all()
    assert scores[0] == everything[0]
    assert scores[-1] == everything[-1]
    edges = np.linspace(everything[0], everything[-1], 11)
    assert np.histogram(scores, edges)[0].tolist() == [4] * 10


def test_a_folder_of_sharp_images_gives_all_its_others_too() -> None:
    dull, sharp = [0, 10, 30, 60, 61, 62], np.linspace(230, 250, 114).round().astype(int).tolist()
    scores = scores_of(choose(graded([*sharp, *dull]), HEADS, first_pixel, 40))
    assert scores[:6] == dull
    assert len(scores) == 40
    assert (scores[6], scores[-1]) == (230, 250)
    assert max(np.diff(scores[6:])) <= 1


@pytest.mark.parametrize(
    ("count", "shares"), [(60, [20, 20, 20]), (50, [17, 17, 16]), (100, [20, 20, 60]), (250, [20, 20, 160])]
)
def test_what_one_band_lacks_the_others_give(count: int, shares: list[int]) -> None:
    levels = [0] * 20 + [100] * 20 + [250] * 160
    scores = scores_of(choose(graded(levels), HEADS, first_pixel, count))
    assert [scores.count(level) for level in (0, 100, 250)] == shares


def test_images_of_one_score_are_taken_all_the_same() -> None:
    assert len(choose(graded([7] * 50), HEADS, first_pixel, 40)) == 40


def test_halves_share_nothing_and_span_the_range(folder: Path) -> None:
    whole = chosen_from(folder)
    first, second = whole.halves()
    names = [{item.candidate.name for item in half.chosen} for half in (first, second)]
    assert not names[0] & names[1]
    assert len(first) + len(second) == len(whole) == 40
    spans = [np.ptp([item.score for item in part.chosen]) for part in (whole, first, second)]
    assert min(spans[1:]) > 0.9 * spans[0]


def test_images_come_back_in_order_one_at_a_time(folder: Path) -> None:
    chosen = chosen_from(folder)
    assert [brightness([image])[0] for image in chosen.images()] == [item.score for item in chosen.chosen]


def test_hashes_of_every_file_and_of_the_whole(folder: Path) -> None:
    chosen = chosen_from(folder)
    for item in chosen.chosen:
        assert item.sha256 == hashlib.sha256((folder / item.candidate.name).read_bytes()).hexdigest()
    lines = "".join(f"{sha256}\n" for sha256 in sorted(item.sha256 for item in chosen.chosen))
    assert chosen.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert chosen.found == 80


def test_manifest_tells_every_image_and_what_was_left_out(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"no image")
    cv2.imwrite(str(folder / "copy.png"), read_image(folder / "000.png"))
    chosen = chosen_from(folder)
    chosen.save(tmp_path / "manifest.json")
    manifest = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))
    images = manifest.pop("images")
    assert [image["sha256"] for image in images] == [item.sha256 for item in chosen.chosen]
    assert [image["score"] for image in images] == scores_of(chosen)
    assert {image["name"] for image in images} < {path.name for path in find_images([folder])}
    lines = "".join(f"{sha256}\n" for sha256 in sorted(image["sha256"] for image in images))
    left_out = {"unreadable": ["broken.jpg"], "misfits": [], "faceless": [], "duplicates": ["copy.png"]}
    assert manifest == {
        "version": 1,
        "sha256": hashlib.sha256(lines.encode()).hexdigest(),
        "found": 82,
        "coverage": chosen.coverage,
        "warning": chosen.warning,
        "left_out": left_out,
    }


def test_manifest_that_cannot_be_written_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="choose a folder"):
        chosen_from(folder).save(tmp_path / "nowhere" / "manifest.json")


def test_hash_of_the_whole_follows_the_images_and_not_their_names(folder: Path, tmp_path: Path) -> None:
    before = choose(folder_candidates(folder), SPEC, brightness, 80).sha256
    for path in find_images([folder]):
        path.rename(path.with_name(f"renamed-{path.name}"))
    assert choose(folder_candidates(folder), SPEC, brightness, 80).sha256 == before
    save(folder, [seeded_image(500, 112, 112)])
    assert choose(folder_candidates(folder), SPEC, brightness, 81).sha256 != before


def test_near_duplicates_are_dropped_and_named(folder: Path) -> None:
    original = read_image(folder / "007.png")
    cv2.imwrite(str(folder / "x-same.png"), original)
    cv2.imwrite(str(folder / "x-saved.jpg"), original, [cv2.IMWRITE_JPEG_QUALITY, 95])
    chosen = chosen_from(folder)
    assert chosen.left_out.duplicates == ["x-same.png", "x-saved.jpg"]


def test_copies_of_real_crops_are_found_and_their_ladders_kept(images_dir: Path) -> None:
    photos = [read_image(path) for path in find_images([images_dir / "aligned"])]
    thumbnails = Thumbnails(1000)
    assert all(thumbnails.add(photo) for photo in photos)
    for photo in photos:
        coded = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
        assert not thumbnails.add(read_back(coded))
        assert not thumbnails.add(np.asarray(cv2.resize(photo, (128, 128)), np.uint8))
    steps = [(rung, image) for rung, image in ladders(photos) if rung.strength >= 2]
    kept = sum(thumbnails.add(image) for _, image in steps)
    assert kept > 0.9 * len(steps)


def read_back(coded: NDArray[np.uint8]) -> Image:
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR), np.uint8)


def test_a_set_of_one_quality_is_called_narrow(tmp_path: Path) -> None:
    folder = save(tmp_path / "alike", [seeded_image(i, 112, 112) for i in range(40)])
    chosen = chosen_from(folder)
    assert chosen.coverage is not None
    assert chosen.coverage < 0.1
    assert chosen.warning is not None
    assert "quality range" in chosen.warning


def test_a_set_of_many_qualities_is_not(tmp_path: Path) -> None:
    images = [(seeded_image(i, 112, 112) * 0.02 * i).clip(0, 255).astype(np.uint8) for i in range(100)]
    chosen = chosen_from(save(tmp_path / "spread", images))
    assert chosen.coverage is not None
    assert chosen.coverage > 0.5
    assert chosen.warning is None


def test_networks_without_a_score_get_evenly_spaced_images(folder: Path) -> None:
    chosen = choose(folder_candidates(folder), SPEC, None, 40)
    names = [item.candidate.name for item in chosen.chosen]
    assert names == sorted(names)
    assert (names[0], names[-1]) == ("000.png", "079.png")
    assert len(set(names)) == 40
    assert chosen.coverage is None
    assert chosen.warning is None


def test_seeded_images_need_no_folder() -> None:
    first, again = (choose(seeded_candidates(112, 112, 48), SPEC, brightness, 40) for _ in range(2))
    assert first.sha256 == again.sha256
    assert next(first.images()).shape == (112, 112, 3)
    assert first.chosen[0].candidate.name.startswith("seeded:0:10")


def test_readers_may_cut_the_face_first(folder: Path) -> None:
    halved = choose(folder_candidates(folder, lambda path: read_image(path)[:56, :56]), HEADS, brightness, 40)
    assert next(halved.images()).shape == (56, 56, 3)


def test_scores_must_be_finite(folder: Path) -> None:
    with pytest.raises(InputError, match="finite"):
        choose(folder_candidates(folder), SPEC, lambda images: np.full(len(images), np.nan, np.float32))


def test_batches_stay_small_and_progress_reaches_its_end(folder: Path) -> None:
    sizes: list[int] = []
    last: dict[str, tuple[int, int]] = {}

    def score(images: Sequence[Image]) -> NDArray[np.float32]:
        sizes.append(len(images))
        return brightness(images)

    choose(folder_candidates(folder), SPEC, score, 40, lambda what, done, total: last.update({what: (done, total)}))
    assert max(sizes) <= BATCH
    assert last == {"choose calibration images": (80, 80), "compare with degraded copies": (4, 4)}


@pytest.mark.parametrize("count", [LIMIT + 1, 3 * LIMIT])
def test_of_very_many_candidates_a_limited_number_is_read(count: int) -> None:
    reads: list[str] = []

    def candidate(i: int) -> Candidate:
        def read() -> Image:
            reads.append(str(i))
            return seeded_image(i % 40, 16, 16)

        return Candidate(str(i), read, lambda: str(i))

    chosen = choose([candidate(i) for i in range(count)], HEADS, None)
    assert len(reads) == LIMIT
    assert chosen.found == count
    assert len(chosen) == 40

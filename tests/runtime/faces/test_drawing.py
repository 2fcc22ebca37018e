"""Annotated photos and map pictures."""

from __future__ import annotations

import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.drawing import beside, draw_faces, map_picture
from fiqa_runtime.faces.face_quality import Face
from fiqa_runtime.images.seeded import seeded_image

LAYOUT = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)


def face(x: float, y: float, size: float, quality: float = 0.5) -> Face:
    box = np.array([x, y, size, size], np.float32)
    return Face(box, box[:2] + LAYOUT * size, 0.9, quality)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.asarray((before != after).any(axis=2))


@pytest.mark.parametrize("shade", [0, 128, 255])
@pytest.mark.parametrize("shape", [(112, 112), (500, 300), (3000, 4000)])
def test_every_face_is_marked_in_contrast(shade: int, shape: tuple[int, int]) -> None:
    photo = np.full((*shape, 3), shade, np.uint8)
    before = photo.copy()
    size = min(shape) / 2
    picture = draw_faces(photo, [face(size / 2, size / 2, size)])
    np.testing.assert_array_equal(photo, before)
    assert picture.shape == photo.shape
    for x, y in (LAYOUT * size + size / 2).round().astype(int):
        assert picture[y, x].tolist() == [60, 200, 255]
    label = picture[: round(size / 2)]
    assert (label == 20).all(axis=2).any()
    assert (label.min(axis=2) > 200).sum() >= 10
    assert changed(photo, picture)[round(size)].sum() >= 2


def test_lines_and_numbers_grow_with_the_photo() -> None:
    marks = []
    for side in (800, 4000):
        photo = np.zeros((side, side, 3), np.uint8)
        picture = draw_faces(photo, [face(side / 4, side / 4, side / 2)])
        marks.append(changed(photo, picture).mean())
    assert 0.5 < marks[1] / marks[0] < 2


@pytest.mark.parametrize(
    "box", [(-20, -20, 90), (380, 10, 60), (0, 0, 399), (150, 380, 40), (350, 370, 200), (5, 3, 6)]
)
def test_the_number_stays_inside_the_photo(box: tuple[float, float, float]) -> None:
    inside = np.full((400, 400, 3), 100, np.uint8)
    reference = draw_faces(inside, [face(150, 150, 60, 0.123)])
    picture = draw_faces(inside, [face(*box, 0.123)])
    white = [(p.min(axis=2) > 150).sum() for p in (reference, picture)]
    assert white[0] > 30
    assert white[0] == white[1]


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (30, 1000), (1000, 12)])
def test_photos_of_any_size_can_be_drawn_on(shape: tuple[int, int]) -> None:
    photo = seeded_image(1, *shape)
    assert draw_faces(photo, [face(0, 0, 20), face(-900, 5, 2000)]).shape == photo.shape


def test_numbers_do_not_cover_each_other() -> None:
    photo = np.full((300, 300, 3), 100, np.uint8)
    one, other = face(100, 100, 80, 0.111), face(104, 100, 80, 0.888)
    white = [(draw_faces(photo, faces).min(axis=2) > 150).sum() for faces in ([one], [other], [one, other])]
    assert white[0] > 30
    assert white[2] == white[0] + white[1]


def test_no_faces_leave_a_copy() -> None:
    photo = seeded_image(2, 40, 50)
    picture = draw_faces(photo, [])
    np.testing.assert_array_equal(picture, photo)
    assert picture is not photo


def test_the_map_picture_is_viridis_on_an_absolute_scale() -> None:
    values = np.array([[0.0, 128 / 255 + 1e-4, 1.0, 129 / 255 - 1e-4], [-3.0, 0.999, 7.0, 0.5]], np.float32)
    picture = map_picture(values)
    assert picture.dtype == np.uint8
    assert picture[0].tolist() == [[84, 1, 68], [140, 145, 33], [37, 231, 253], [140, 145, 33]]
    assert picture[1, 0].tolist() == [84, 1, 68]
    assert picture[1, 1].tolist() != [37, 231, 253]
    assert picture[1, 2].tolist() == [37, 231, 253]


@pytest.mark.parametrize(
    ("photo", "shape"),
    [((256, 256), (256, 512)), ((600, 300), (600, 600)), ((128, 64), (256, 256)), ((1, 300), (256, 153600))],
)
def test_photo_and_map_stand_beside_each_other(photo: tuple[int, int], shape: tuple[int, int]) -> None:
    picture = beside(seeded_image(0, *photo), np.full((256, 256, 3), 77, np.uint8))
    assert picture.shape == (*shape, 3)
    assert (picture[:, shape[1] // 2 :] == 77).all()


def test_pictures_that_are_no_images_are_refused() -> None:
    with pytest.raises(InputError, match="uint8 BGR"):
        draw_faces(np.zeros((9, 9), np.uint8), [])
    with pytest.raises(InputError, match="uint8 BGR"):
        beside(seeded_image(0, 9, 9), np.zeros((9, 9), np.float32))

"""Reading photos whole or not at all, and finding them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.images.seeded import seeded_image

PHOTO = seeded_image(3, 90, 140)
ENCODINGS = {
    "baseline": (".jpg", []),
    "progressive": (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "restarts": (".jpg", [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
    "optimised": (".jpg", [cv2.IMWRITE_JPEG_OPTIMIZE, 1, cv2.IMWRITE_JPEG_QUALITY, 100]),
    "png": (".png", []),
    "bmp": (".bmp", []),
    "tiff": (".tif", []),
    "webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
}


def encode(kind: str, image: np.ndarray = PHOTO) -> bytes:
    suffix, options = ENCODINGS[kind]
    return bytes(cv2.imencode(suffix, image, options)[1])


def with_app1(jpeg: bytes, content: bytes) -> bytes:
    return jpeg[:2] + b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content + jpeg[2:]


def exif(orientation: int) -> bytes:
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2, "big") + b"\x00\x00"
    return b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + b"\x00\x00\x00\x00"


def written(folder: Path, content: bytes, name: str = "photo.img") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_photos_have_the_pixels_of_imread(golden: Callable[[str], Any], images_dir: Path) -> None:
    for entry in golden("yunet")["images"]:
        image = read_image(images_dir / entry["file"])
        assert image.shape == (entry["height"], entry["width"], 3)
        np.testing.assert_array_equal(image, cv2.imread(str(images_dir / entry["file"])))


@pytest.mark.parametrize("kind", ENCODINGS)
def test_whole_files_are_read(tmp_path: Path, kind: str) -> None:
    image = read_image(written(tmp_path, encode(kind)))
    assert image.dtype == np.uint8
    if kind in ("png", "bmp", "tiff", "webp"):
        np.testing.assert_array_equal(image, PHOTO)
    else:
        assert np.abs(image.astype(int) - PHOTO).mean() < 45


@pytest.mark.parametrize("kind", ENCODINGS)
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.97, -1])
def test_truncated_files_are_refused(tmp_path: Path, kind: str, kept: float) -> None:
    content = encode(kind)
    path = written(tmp_path, content[: int(len(content) * kept) if kept > 0 else -1])
    with pytest.raises(InputError, match=r"cut short.*again") as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_a_download_padded_with_zeros_is_refused(tmp_path: Path) -> None:
    content = encode("baseline")
    half = len(content) // 2
    with pytest.raises(InputError, match="cut short"):
        read_image(written(tmp_path, content[:half] + bytes(len(content) - half)))


def test_the_thumbnail_of_a_truncated_jpeg_does_not_pass_for_its_end(tmp_path: Path) -> None:
    content = with_app1(encode("baseline"), encode("baseline", PHOTO[:16, :16]))
    np.testing.assert_array_equal(read_image(written(tmp_path, content)).shape, PHOTO.shape)
    with pytest.raises(InputError, match="cut short"):
        read_image(written(tmp_path, content[: len(content) * 3 // 4]))


@pytest.mark.parametrize("tail", [b"\x00", b"\xff", b"trailer" * 500, encode("baseline")])
def test_bytes_behind_the_end_of_a_jpeg_are_allowed(tmp_path: Path, tail: bytes) -> None:
    content = encode("baseline")
    expected = read_image(written(tmp_path, content))
    np.testing.assert_array_equal(read_image(written(tmp_path, content + tail)), expected)


def test_fill_bytes_before_a_jpeg_marker_are_allowed(tmp_path: Path) -> None:
    content = encode("baseline")
    expected = read_image(written(tmp_path, content))
    np.testing.assert_array_equal(read_image(written(tmp_path, content[:-2] + b"\xff\xff\xff\xd9")), expected)


def test_grey_is_replicated(tmp_path: Path) -> None:
    grey = PHOTO[..., 0]
    image = read_image(written(tmp_path, encode("png", grey)))
    np.testing.assert_array_equal(image, np.stack([grey] * 3, axis=2))


def test_alpha_is_dropped_not_blended(tmp_path: Path) -> None:
    transparent = np.dstack([PHOTO, np.zeros(PHOTO.shape[:2], np.uint8)])
    np.testing.assert_array_equal(read_image(written(tmp_path, encode("png", transparent))), PHOTO)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_are_reduced_to_eight(tmp_path: Path, kind: str) -> None:
    deep = PHOTO.astype(np.uint16) * 256 + 128
    image = read_image(written(tmp_path, encode(kind, deep)))
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - PHOTO).max() <= 1


@pytest.mark.parametrize(("bits", "factor"), [(12, 16), (10, 64), (4, 4096)])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_twelve_bits_in_sixteen_are_refused_with_their_factor(
    tmp_path: Path, kind: str, bits: int, factor: int
) -> None:
    raw = np.full((20, 20), (1 << bits) - 1, np.uint16)
    with pytest.raises(InputError, match=f"largest value is .* multiply its values by {factor:,} "):
        read_image(written(tmp_path, encode(kind, raw)))
    assert read_image(written(tmp_path, encode(kind, raw * factor))).max() >= 128


def test_what_is_really_black_is_read(tmp_path: Path) -> None:
    for black in (np.zeros((20, 20), np.uint16), np.full((20, 20), 3, np.uint8)):
        assert read_image(written(tmp_path, encode("png", black))).max() <= 3


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    content = encode("baseline")
    upright = read_image(written(tmp_path, content))
    turned = read_image(written(tmp_path, with_app1(content, exif(6))))
    np.testing.assert_array_equal(turned, np.rot90(upright, -1))


@pytest.mark.parametrize("name", ["Gesicht ä ö.png", "顔写真.png", "лицо.png", "a b'c\".png"])
def test_any_path_can_be_read(tmp_path: Path, name: str) -> None:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        pytest.skip("this locale has no such file names")
    np.testing.assert_array_equal(read_image(written(tmp_path, encode("png"), name)), PHOTO)


def test_sizes_at_the_ends_are_read(tmp_path: Path) -> None:
    assert read_image(written(tmp_path, encode("png", PHOTO[:1, :1]))).shape == (1, 1, 3)
    assert read_image(written(tmp_path, encode("png", np.zeros((3, 20_000, 3), np.uint8)))).shape[1] == 20_000


@pytest.mark.parametrize("content", [b"", b"no image at all", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"photo\.img is .*; copy"):
        read_image(written(tmp_path, content))


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="check the spelling"):
        read_image(tmp_path / "missing.png")
    with pytest.raises(InputError, match="is a folder; name an image file"):
        read_image(tmp_path)
    with pytest.raises(InputError, match="check its name"):
        read_image("nul\x00.png")


def test_folders_are_searched_to_the_bottom_in_order(tmp_path: Path) -> None:
    for name in (
        "b.JPG",
        "a.png",
        "deep/er/c.Tiff",
        "notes.txt",
        ".hidden.png",
        ".cache/d.png",
        "deep/._e.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "folder.png").mkdir()
    expected = [tmp_path / "a.png", tmp_path / "b.JPG", tmp_path / "deep/er/c.Tiff"]
    assert find_images([tmp_path]) == expected
    assert find_images([tmp_path / "notes.txt", str(expected[2]), tmp_path]) == [
        *(tmp_path / "notes.txt", expected[2]),
        *expected[:2],
    ]


def test_an_image_that_is_met_twice_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.png").touch()
    (tmp_path / "link.png").symlink_to("a.png")
    (tmp_path / "again").symlink_to(".")
    monkeypatch.chdir(tmp_path)
    named: list[str | Path] = ["a.png", "./a.png", "deep/../a.png", tmp_path / "a.png", "again/a.png", tmp_path]
    assert find_images(named) == [Path("a.png"), tmp_path / "link.png"]


def test_missing_paths_and_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no images under .*\.jpeg"):
        find_images([tmp_path])
    with pytest.raises(InputError, match="no file or folder"):
        find_images([tmp_path / "missing"])
    assert find_images([]) == []


def test_paths_that_cannot_be_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="File name too long; check its name and permissions"):
        find_images([tmp_path / ("a" * 300)])

    def forbidden(self: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "is_dir", forbidden)
    with pytest.raises(InputError, match=f"cannot search {tmp_path}: Permission denied"):
        find_images([tmp_path])

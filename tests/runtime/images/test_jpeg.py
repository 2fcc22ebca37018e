"""JPEG files that hold a part of their picture, which every decoder completes silently, and whole ones that look so."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.images import jpeg
from fiqa_runtime.images.jpeg import decode_jpeg, read_layout
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image
from PIL import Image

END = b"\xff\xd9"
KINDS: dict[str, dict[str, Any]] = {
    "sequential": {},
    "fine colours": {"subsampling": 0},
    "restarts": {"restart_marker_blocks": 3},
    "restarts by row": {"restart_marker_rows": 1},
    "progressive": {"progressive": True},
    "progressive, restarts": {"progressive": True, "restart_marker_rows": 1},
    "optimised": {"optimize": True, "quality": 30},
}
MODES = ("RGB", "L", "CMYK")
CUTS = (0.1, 0.2, 0.21, 0.22, 0.5, 0.8, 0.9, 0.97, 0.99)
Pixels = np.ndarray


def photo(height: int = 300, width: int = 400) -> Pixels:
    """Blobs and noise, as RGB."""
    return cv2.GaussianBlur(seeded_image(3, height, width), (0, 0), 3) // 2 + seeded_image(4, height, width) // 8


def encode(pixels: Pixels, mode: str = "RGB", **how: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(target, "JPEG", **{"quality": 90, **how})
    return target.getvalue()


def decoded(data: bytes) -> Pixels:
    """By OpenCV, which fills in what is missing."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR))


def flat_below(level: int) -> Pixels:
    """A photo whose lower half is one colour, as a sky or a bar."""
    pixels = photo()
    pixels[150:] = level
    return pixels


def cut(data: bytes, share: float) -> bytes:
    """The beginning of `data`, with an end marker."""
    return data[: int(len(data) * share)].removesuffix(b"\xff") + END


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(300, 400), (112, 112), (37, 21)])
def test_a_part_is_refused_and_the_whole_is_read(
    kind: str, mode: str, size: tuple[int, int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = encode(photo(*size), mode, **KINDS[kind])
    path = tmp_path / "a.jpg"
    path.write_bytes(whole)
    np.testing.assert_array_equal(read_image(path), decoded(whole))
    assert capfd.readouterr().err == "", "libjpeg complains of the second look"
    for share in CUTS:
        path.write_bytes(cut(whole, share))
        if share == CUTS[-1] and np.array_equal(decoded(path.read_bytes()), decoded(whole)):
            continue  # a few bytes of a tiny file, which change nothing
        with pytest.raises(InputError) as caught:
            read_image(path)
        assert "\n" not in str(caught.value)
        assert str(caught.value).endswith(("copy or download it again", "save it as PNG"))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "progressive" not in kind])
def test_a_crop_that_lacks_its_last_bytes(kind: str) -> None:
    """Whatever byte it now ends in, and though a decoder may by luck fill in what was there."""
    for seed in range(8):
        blurred = cv2.GaussianBlur(seeded_image(seed, 56, 50 + seed), (0, 0), 1 + seed % 3)
        whole = encode(blurred, **KINDS[kind])
        layout = read_layout(whole)
        assert layout
        assert decode_jpeg(whole) is not None
        for missing in range(1, 12):
            with pytest.raises(ValueError, match="its data end before its picture does"):
                decode_jpeg(whole[: layout.end - missing] + END)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level", [0, 127, 128, 129, 255])
def test_flat_bottoms_are_whole(level: int, kind: str) -> None:
    whole = encode(flat_below(level), **KINDS[kind])
    assert decode_jpeg(whole) is not None
    with pytest.raises(ValueError, match="only a part of a JPEG"):
        decode_jpeg(cut(whole, 0.4))


@pytest.mark.parametrize("turned", range(1, 9))
def test_orientation_does_not_hide_what_is_missing(turned: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    whole = encode(photo(), exif=exif)
    assert decode_jpeg(whole) is not None
    with pytest.raises(ValueError, match="its data end before its picture does"):
        decode_jpeg(cut(whole, 0.7))


def test_a_progressive_file_without_its_last_scans() -> None:
    whole = encode(photo(), progressive=True)
    layout = read_layout(whole)
    assert layout
    assert len(layout.scans) > 4
    second = whole.index(b"\xff\xda", whole.index(b"\xff\xda") + 2)
    with pytest.raises(ValueError, match="its 1 scans do not bring all of the picture"):
        decode_jpeg(whole[:second] + END)


def test_where_libjpeg_is_not_heard_every_progressive_file_is_looked_at_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = encode(photo(), progressive=True)
    monkeypatch.setattr(jpeg, "_hears", lambda: False)
    assert decode_jpeg(whole) is not None
    with pytest.raises(ValueError, match="its data end before its picture does"):
        decode_jpeg(cut(whole, 0.95))


@pytest.mark.parametrize("size", [(300, 400), (112, 112)])
def test_a_small_sequential_file_is_looked_at_twice_there_too(
    monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    whole = encode(photo(*size))
    monkeypatch.setattr(jpeg, "_hears", lambda: False)
    assert decode_jpeg(whole) is not None
    with pytest.raises(ValueError, match="its data end before its picture does"):
        decode_jpeg(cut(whole, 0.9))


def test_libjpeg_is_heard_here() -> None:
    assert jpeg._hears()


def test_many_threads_and_a_writer_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """Nobody's line is lost, and no thread hears the complaint about another one's file for its own."""
    whole = encode(photo(), progressive=True)
    expected = decode_jpeg(whole)
    wrong: list[object] = []

    def work(data: bytes, right: Callable[[object], bool]) -> None:
        for _ in range(20):
            try:
                found: object = decode_jpeg(data)
            except ValueError as error:
                found = error
            if not right(found):
                wrong.append(found)

    def is_whole(found: object) -> bool:
        return np.array_equal(np.asarray(found), np.asarray(expected))

    def is_refused(found: object) -> bool:
        return isinstance(found, ValueError)

    jobs = [(whole, is_whole), (cut(whole, 0.95), is_refused)] * 2
    threads = [threading.Thread(target=work, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for number in range(200):
        os.write(2, f"line {number}\n".encode())
    for thread in threads:
        thread.join()
    assert not wrong
    assert sorted(capfd.readouterr().err.splitlines()) == sorted(f"line {number}" for number in range(200))


def test_all_pictures_at_hand_are_whole(images_dir: Path) -> None:
    pictures = [path for path in images_dir.rglob("*") if path.suffix in (".jpg", ".jpeg", ".png")]
    assert pictures
    for path in pictures:
        assert read_image(path).size

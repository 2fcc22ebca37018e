"""Sizes from headers, in every format that we read; a damaged header gives None and raises nothing."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.dimensions import image_size
from fiqa_runtime.images.reading import IN_SOME_OPENCV, SUFFIXES, read_image
from fiqa_runtime.images.seeded import seeded_image
from hypothesis import given
from hypothesis import strategies as st

PICTURE = seeded_image(0, 37, 53)
GREY = {".pbm", ".pgm"}
ENCODED = {
    suffix: cv2.imencode(suffix, PICTURE[..., 0] if suffix in GREY else PICTURE)[1].tobytes()
    for suffix in sorted(SUFFIXES | IN_SOME_OPENCV)
    if cv2.haveImageWriter(f"a{suffix}")  # not for .jfif, which is a JPEG by another name
}


@pytest.mark.parametrize("suffix", ENCODED)
def test_size_of_every_format(suffix: str) -> None:
    assert image_size(ENCODED[suffix]) == (53, 37)


def test_lossless_and_progressive_files() -> None:
    lossless = cv2.imencode(".webp", PICTURE, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    progressive = cv2.imencode(".jpg", PICTURE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    assert image_size(lossless) == image_size(progressive) == (53, 37)
    assert image_size(b"P4\n# a comment\n53 37\n") == (53, 37)


@given(data=st.data(), suffix=st.sampled_from(sorted(ENCODED)))
def test_damaged_headers_raise_nothing(data: st.DataObject, suffix: str) -> None:
    content = bytearray(ENCODED[suffix])
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 64) - 1))] = data.draw(st.integers(0, 255))
    size = image_size(bytes(content[: data.draw(st.integers(0, len(content)))]))
    assert size is None or len(size) == 2


def test_a_small_file_that_decodes_to_gigabytes_is_refused(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(64))), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(InputError, match=r"bomb.png has 30000 x 30000 pixels, more than 268,435,456; shrink or cut it"):
        read_image(path)


def test_a_large_photo_is_read(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    cv2.imwrite(str(path), np.zeros((2, 60_000, 3), np.uint8))
    assert read_image(path).shape == (2, 60_000, 3)

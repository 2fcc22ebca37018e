"""Damaged pictures of every format: whole, or one line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from fiqa_runtime.images.reading import IN_SOME_OPENCV, SUFFIXES, read_image
from fiqa_runtime.images.seeded import seeded_image
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.damage import cases, damaged, is_done_or_one_line

PICTURE = seeded_image(0, 60, 80)
GREY = {".pbm", ".pgm"}
JPEGS = {
    "progressive.jpg": [cv2.IMWRITE_JPEG_PROGRESSIVE, 1],
    "restarts.jpg": [cv2.IMWRITE_JPEG_RST_INTERVAL, 2],
    "grey.jpg": [cv2.IMWRITE_JPEG_QUALITY, 30],
}
SAMPLES = {
    f"a{suffix}": cv2.imencode(suffix, PICTURE[..., 0] if suffix in GREY else PICTURE)[1].tobytes()
    for suffix in sorted(SUFFIXES | IN_SOME_OPENCV)
    if cv2.haveImageWriter(f"a{suffix}")
} | {name: cv2.imencode(".jpg", PICTURE, how)[1].tobytes() for name, how in JPEGS.items()}
SAMPLES["deep.png"] = cv2.imencode(".png", PICTURE.astype(np.uint16) * 256)[1].tobytes()


@given(case=damaged(SAMPLES))
@cases("images")
def test_pictures(tmp_path: Path, case: tuple[str, bytes]) -> None:
    name, data = case
    path = tmp_path / name
    path.write_bytes(data)
    found = is_done_or_one_line(lambda: read_image(path))
    assert found is None or (found.dtype == np.uint8 and found.ndim == 3 and found.shape[2] == 3)


@given(name=st.sampled_from([name for name in SAMPLES if name.endswith(".jpg")]), share=st.floats(0.02, 0.97))
@cases("images")
def test_no_part_of_a_jpeg_passes_for_the_whole(tmp_path: Path, name: str, share: float) -> None:
    path, whole = tmp_path / name, SAMPLES[name]
    path.write_bytes(whole[: int(len(whole) * share)].removesuffix(b"\xff") + b"\xff\xd9")
    assert is_done_or_one_line(lambda: read_image(path)) is None

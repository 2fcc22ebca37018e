"""Frames of real files, read through OpenCV, and what may be wrong with them."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.live import Frames, Source
from fiqa_runtime.live import frames as frames_module
from fiqa_runtime.live.capture import RawCapture, VideoCapture
from fiqa_runtime.live.frame import Clock, Pace, as_bgr
from fiqa_runtime.live.source import RawSize


def grey(level: int, width: int = 64, height: int = 48) -> Image:
    return np.full((height, width, 3), level, np.uint8)


def write_video(path: Path, images: Sequence[Image], rate: float = 10, codec: str = "MJPG") -> Path:
    height, width = images[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, (width, height))
    if not writer.isOpened():
        pytest.skip(f"this OpenCV writes no {codec}")
    for image in images:
        writer.write(image)
    writer.release()
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twenty grey frames, each brighter than the one before, ten a second."""
    return write_video(tmp_path / "clip.avi", [grey(10 * n) for n in range(20)])


@pytest.mark.parametrize(("name", "codec"), [("clip.avi", "MJPG"), ("clip.mp4", "mp4v")])
def test_every_frame_of_a_file_with_its_time(tmp_path: Path, name: str, codec: str) -> None:
    path = write_video(tmp_path / name, [grey(10 * n) for n in range(20)], codec=codec)
    stream = Frames(path)
    assert stream.rate == pytest.approx(10)
    found = list(stream)
    assert [frame.index for frame in found] == list(range(20))
    np.testing.assert_allclose([frame.time for frame in found], np.arange(20) / 10, atol=1e-3)
    np.testing.assert_allclose([frame.image.mean() for frame in found], np.arange(20) * 10, atol=4)
    assert stream.counts.read == 20 and stream.counts.unreadable == stream.counts.mended == 0
    assert list(stream) == [], "a stream is read once"


def test_frames_that_come_too_fast_are_left_out(clip: Path) -> None:
    stream = Frames(clip, max_fps=5)
    assert [frame.index for frame in stream] == list(range(0, 20, 2))
    assert stream.counts.skipped == 10 and stream.rate == 5


def test_pace_at_a_rate_that_does_not_divide() -> None:
    pace = Pace(20)
    assert sum(pace.lets_by(n / 30) for n in range(300)) == 200


def test_a_stream_ends_after_its_duration(clip: Path) -> None:
    assert len(list(Frames(clip, duration=0.5))) == 5


def test_a_stream_that_is_stopped_ends_behind_the_frame_in_hand(clip: Path) -> None:
    with Frames(clip) as stream:
        seen = []
        for frame in stream:
            seen.append(frame.index)
            if frame.index == 3:
                stream.stop()
    assert seen == [0, 1, 2, 3]


def chunks(data: bytes) -> list[int]:
    """Where the pictures of an AVI file begin."""
    first, end = data.index(b"movi"), data.index(b"idx1")
    return [first + found.start() + 8 for found in re.finditer(b"00dc", data[first:end])]


def test_a_frame_that_cannot_be_decoded_is_counted(clip: Path) -> None:
    data = bytearray(clip.read_bytes())
    begin, end = chunks(bytes(data))[7:9]
    data[begin : end - 8] = bytes(end - 8 - begin)
    clip.write_bytes(data)
    stream = Frames(clip)
    found = list(stream)
    assert len(found) == 19 and stream.counts.unreadable == 1
    np.testing.assert_allclose([frame.time for frame in found], [n / 10 for n in range(20) if n != 7], atol=1e-3)


def test_a_file_that_is_cut_short_is_told(clip: Path) -> None:
    data = clip.read_bytes()
    clip.write_bytes(data[: chunks(data)[12]])
    told: list[str] = []
    found = list(Frames(clip, tell=told.append))
    assert 10 <= len(found) <= 12
    assert re.fullmatch(rf"{re.escape(str(clip))} ends after 1\d of \d+ frames; was it cut short\?", told[0])


def test_a_file_that_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "torn.mp4").write_bytes(b"no video at all")
    (tmp_path / "empty.mp4").touch()
    for name, words in (("torn.mp4", "damaged, not a video, or has a codec"), ("empty.mp4", "is empty")):
        with pytest.raises(InputError, match=words):
            Frames(tmp_path / name)


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(InputError, match="there is no camera 63, or another program has it; this machine has"):
        Frames(63)


def test_a_resolution_that_changes_is_told_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [grey(1), grey(2), grey(3, 128, 96), grey(4)]
    told: list[str] = []
    stream = scripted(monkeypatch, pictures, tell=told.append)
    assert [frame.size for frame in stream] == [(64, 48), (64, 48), (128, 96), (64, 48)]
    assert stream.counts.resized == 2 and told[0] == "the resolution changes from 64 x 48 to 128 x 96"


def test_grey_deep_and_four_channel_frames_and_some_that_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = np.full((4, 4), 0x8034, np.uint16)
    odd = [deep, np.zeros((4, 4, 1), np.uint8), np.full((1, 1, 4), 7, np.uint8), None, np.zeros((0, 4, 3), np.uint8)]
    stream = scripted(monkeypatch, [*odd, np.zeros((4, 4), np.float32), np.zeros((4, 4, 2), np.uint8), grey(9)])
    found = list(stream)
    assert [frame.image.shape for frame in found] == [(4, 4, 3), (4, 4, 3), (1, 1, 3), (48, 64, 3)]
    assert found[0].image[0, 0].tolist() == [0x80] * 3 and found[2].image[0, 0].tolist() == [7] * 3
    assert all(frame.image.dtype == np.uint8 for frame in found)
    assert stream.counts.unreadable == 4 and [frame.index for frame in found] == [0, 1, 2, 7]


def test_times_that_run_back_or_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = scripted(monkeypatch, [grey(n) for n in range(6)], times=[0.0, 0.1, 0.05, math.nan, 0.3, 0.5])
    times = [frame.time for frame in stream]
    np.testing.assert_allclose(times, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    assert stream.counts.mended == 3


def test_the_clock_begins_at_zero_where_there_is_no_time() -> None:
    clock = Clock()
    assert clock.next(math.nan) == 0.0 and clock.next(math.nan) == pytest.approx(1 / 30) and clock.mended == 2


def test_a_file_of_zero_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    assert list(scripted(monkeypatch, [], tell=told.append)) == []
    assert told == ["scripted has no frame that can be read"]


def test_raw_frames_and_a_last_one_that_is_cut_short() -> None:
    images = [seeded_image(n, 6, 8) for n in range(3)]
    data = b"".join(image.tobytes() for image in images) + b"\0" * 50
    capture = RawCapture(RawSize(8, 6, 25), io.BytesIO(data).read)
    read = []
    while capture.grab():
        read.append((capture.time(), capture.retrieve()))
    np.testing.assert_allclose([time for time, _ in read], np.arange(4) / 25)
    for (_, picture), image in zip(read, images, strict=False):
        np.testing.assert_array_equal(picture, image)
    assert read[3][1] is None


@pytest.mark.parametrize("name", ["stall", "max_fps", "duration", "give_up"])
@pytest.mark.parametrize("value", [-1.0, math.nan, math.inf])
def test_settings_outside_their_ranges(clip: Path, name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} is {value}; give"):
        Frames(clip, **{name: value})  # type: ignore[arg-type]


def test_opencv_tells_nothing_of_its_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "torn.avi").write_bytes(b"RIFF")
    with pytest.raises(InputError):
        VideoCapture(Source("file", str(tmp_path / "torn.avi")), 1.0)
    assert "Traceback" not in capfd.readouterr().err


def test_as_bgr_refuses_what_is_no_picture() -> None:
    with pytest.raises(InputError, match="no pixels"):
        as_bgr(None)
    with pytest.raises(InputError, match="values of float64"):
        as_bgr(np.zeros((2, 2)))


def scripted(
    monkeypatch: pytest.MonkeyPatch,
    pictures: Sequence[object],
    times: Sequence[float] | None = None,
    **settings: object,
) -> Frames:
    """Frames of a file whose pictures and times are given."""
    at = -1

    def grab() -> bool:
        nonlocal at
        at += 1
        return at < len(pictures)

    capture = SimpleNamespace(
        grab=grab,
        retrieve=lambda: pictures[at],
        time=lambda: at / 10 if times is None else times[at],
        promised=0,
        rate=10.0,
        close=lambda: None,
    )
    monkeypatch.setattr(frames_module, "open_capture", lambda *_: capture)
    return Frames(Source("file", "scripted"), **settings)  # type: ignore[arg-type]

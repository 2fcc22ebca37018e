"""What a source is, told from its text, and what is refused with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
from fiqa_runtime.errors import FiqaError, InputError, UnsupportedError
from fiqa_runtime.images.streams import is_stream
from fiqa_runtime.live import Source, find_source
from fiqa_runtime.live import source as source_module
from fiqa_runtime.live.source import CSI, RawSize


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"no video, but a file")
    return path


@pytest.mark.parametrize(
    ("text", "kind", "where", "live"),
    [
        ("0", "camera", "0", True),
        ("/dev/video2", "camera", "2", True),
        ("rtsp://user:secret@camera:554/one", "address", "rtsp://user:secret@camera:554/one", True),
        ("http://camera/video.mjpg", "address", "http://camera/video.mjpg", True),
        ("https://host/clip.MP4?token=1", "address", "https://host/clip.MP4?token=1", False),
        ("rtsp://host/clip.mp4", "address", "rtsp://host/clip.mp4", True),
    ],
)
def test_what_a_text_names(text: str, kind: str, where: str, live: bool) -> None:
    found = find_source(text)
    assert (found.kind, found.where, found.live) == (kind, where, live)


def test_files_and_raw_frames(clip: Path) -> None:
    assert find_source(str(clip)) == Source("file", str(clip))
    raw = find_source("-", "1280x720@25")
    assert raw.raw == RawSize(1280, 720, 25.0) and not raw.live and raw.name == "stdin"


def test_a_file_that_is_called_like_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("7").write_bytes(b"")
    assert find_source("7").kind == "file" and not is_stream("7")


def test_a_password_is_not_told() -> None:
    assert find_source("rtsp://user:secret@camera:554/one").name == "rtsp://camera:554/one"


def test_a_pipeline_where_opencv_has_gstreamer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "has_gstreamer", lambda: True)
    assert find_source(CSI).live
    filed = find_source("filesrc location=a.mp4 ! decodebin ! videoconvert ! appsink")
    assert filed.kind == "pipeline" and not filed.live


def test_a_pipeline_where_opencv_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "has_gstreamer", lambda: False)
    with pytest.raises(UnsupportedError) as caught:
        find_source("videotestsrc ! videoconvert ! appsink")
    assert CSI in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "raw", "words"),
    [
        ("missing.mp4", None, "there is no file missing.mp4; check the spelling, or name a camera"),
        ("photo.jpg", None, "photo.jpg is a photo; fiqa-score photo.jpg scores it"),
        (".", None, ". is a folder; name a video"),
        ("-", None, "need their size"),
        ("clip.mp4", "8x8", "need their size"),
        ("-", "0x8", "0x8 is not the size of raw frames"),
        ("-", "big", "write width x height"),
        ("-", "8x8@0", "write width x height"),
        ("-", "99999x8", "write width x height"),
        ("videotestsrc ! fakesink", None, "the pipeline has no appsink"),
    ],
)
def test_what_is_refused(
    text: str, raw: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "clip.mp4"):
        Path(name).touch()
    with pytest.raises(InputError) as caught:
        find_source(text, raw)
    assert words in str(caught.value) and isinstance(caught.value, FiqaError)


@pytest.mark.parametrize("text", ["0", "clip.mp4", "CLIP.MOV", "rtsp://a/b", "rtsp:/a/b", "a ! appsink"])
def test_streams(text: str) -> None:
    assert is_stream(text)


@pytest.mark.parametrize("text", ["photo.jpg", "photos", "engines/0", "C:/photo.png", "."])
def test_no_streams(text: str) -> None:
    assert not is_stream(text)

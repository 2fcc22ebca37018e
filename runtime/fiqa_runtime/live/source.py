"""What a stream comes from: a file, a camera, a network address, a GStreamer pipeline, or raw frames on stdin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import cv2

from fiqa_runtime.errors import InputError, UnsupportedError
from fiqa_runtime.images.reading import IN_SOME_OPENCV, SUFFIXES
from fiqa_runtime.images.streams import ADDRESS, VIDEOS

Kind = Literal["file", "camera", "address", "pipeline", "raw"]
RAW = re.compile(r"(\d+)x(\d+)(?:@(\d+(?:\.\d+)?))?")
MOST_RAW = 1 << 15
"""Longest side of a raw frame in pixels."""
CSI = (
    "nvarguscamerasrc ! video/x-raw(memory:NVMM),width=1920,height=1080,framerate=30/1 ! nvvidconv ! "
    "video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1"
)
"""The pipeline of a Jetson's CSI camera."""


@dataclass(frozen=True)
class RawSize:
    """How raw frames on stdin are cut: rows of B, G, R bytes, one frame after the other."""

    width: int
    height: int
    rate: float
    """Frames in a second."""


@dataclass(frozen=True)
class Source:
    """Where frames come from."""

    kind: Kind
    where: str
    """Path, number of the camera, address, or text of the pipeline."""
    raw: RawSize | None = None
    """Of raw frames alone."""

    @property
    def live(self) -> bool:
        """Whether frames come when they come, so that only the newest one counts, and a lost connection is made anew.

        Raw frames on stdin wait for whoever reads them, as those of a file do, and so does a file behind HTTP.
        """
        if self.kind == "address":
            parts = urlsplit(self.where)
            return not (parts.scheme.lower().startswith("http") and Path(parts.path).suffix.lower() in VIDEOS)
        return self.kind == "camera" or (self.kind == "pipeline" and "filesrc" not in self.where)

    @property
    def name(self) -> str:
        """What people are told: an address without its password."""
        if self.kind == "address":
            parts = urlsplit(self.where)
            return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        return {"camera": f"camera {self.where}", "raw": "stdin", "pipeline": "the pipeline"}.get(self.kind, self.where)


def find_source(text: str, raw: str | None = None) -> Source:
    """The source that `text` names; `raw` is the size of raw frames, as ``1280x720@30``.

    A number is a camera, as is ``/dev/video0``; ``scheme://...`` is an address; what holds `` ! `` is a GStreamer
    pipeline; ``-`` is stdin; everything else is a file. Raises InputError for a file that is not there, a photo, a
    folder, stdin without a size and a size without stdin; UnsupportedError for a pipeline where OpenCV has no
    GStreamer.
    """
    if (text == "-") != (raw is not None):
        raise InputError("raw frames come from stdin and need their size; give both, as in: - --raw 1280x720@30")
    if raw is not None:
        return Source("raw", text, _raw_size(raw))
    if " ! " in text:
        _check_pipeline(text)
        return Source("pipeline", text)
    if ADDRESS.match(text):
        return Source("address", text)
    device = re.fullmatch(r"/dev/video(\d+)", text)
    if device or (text.isdecimal() and not Path(text).exists()):
        return Source("camera", device[1] if device else text)
    _check_file(Path(text))
    return Source("file", text)


def _raw_size(text: str) -> RawSize:
    match = RAW.fullmatch(text)
    width, height, rate = (match[1], match[2], float(match[3] or 30)) if match else (0, 0, 0)
    if not (0 < int(width) <= MOST_RAW and 0 < int(height) <= MOST_RAW and rate > 0):
        raise InputError(f"{text} is not the size of raw frames; write width x height @ frames a second: 1280x720@30")
    return RawSize(int(width), int(height), rate)


def _check_pipeline(text: str) -> None:
    if "appsink" not in text:
        raise InputError("the pipeline has no appsink; end it with ! videoconvert ! video/x-raw,format=BGR ! appsink")
    if not has_gstreamer():
        raise UnsupportedError(
            "this OpenCV has no GStreamer, as no wheel from PyPI has; use the system's (JetPack's has it), where a CSI "
            f"camera is: '{CSI}'"
        )


def has_gstreamer() -> bool:
    """Whether this OpenCV was built with GStreamer."""
    return bool(re.search(r"GStreamer:\s+YES", cv2.getBuildInformation()))


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a video, or score its photos with fiqa-score")
    if not path.exists():
        raise InputError(
            f"there is no file {path}; check the spelling, or name a camera (0) or an address (rtsp://...)"
        )
    if path.suffix.lower() in SUFFIXES | IN_SOME_OPENCV:
        raise InputError(f"{path} is a photo; fiqa-score {path} scores it")

"""Opens a source, and reads one frame after the other from it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.reading import IN_SOME_OPENCV
from fiqa_runtime.live.source import RawSize, Source

Picture = NDArray[np.generic]
OPENING = 5.0
"""Seconds that an address has at least to begin sending."""


class Capture(Protocol):
    """An open source."""

    def grab(self) -> bool:
        """Take the next frame; False where there is none, for now or for ever."""

    def retrieve(self) -> Picture | None:
        """The pixels of the frame that was taken; None where they cannot be decoded."""

    def time(self) -> float:
        """The time stamp of that frame in seconds; NaN where the source has none."""

    rate: float
    """Frames in a second, as the source says; 0 where it does not."""

    @property
    def promised(self) -> int:
        """Number of frames that a file says it has; 0 where nothing says it."""

    def close(self) -> None:
        """Free the source."""


class VideoCapture:
    """What OpenCV opens: files, cameras, addresses, pipelines."""

    def __init__(self, source: Source, timeout: float) -> None:
        """Raises InputError where OpenCV cannot open `source`; `timeout` in seconds is for one read of an address."""
        self._source = source
        self._grabbed = 0
        log = getattr(cv2.utils, "logging", cv2)
        level = log.getLogLevel()
        log.setLogLevel(0)
        try:
            self._capture = _open(source, timeout)
        finally:
            log.setLogLevel(level)
        if not self._capture.isOpened():
            self._capture.release()
            raise InputError(_why_closed(source))
        self.rate = float(self._capture.get(cv2.CAP_PROP_FPS))

    def grab(self) -> bool:
        taken = bool(self._capture.grab())
        self._grabbed += taken
        return taken

    def retrieve(self) -> Picture | None:
        try:
            decoded, picture = self._capture.retrieve()
        except cv2.error:
            return None
        return picture if decoded else None

    def time(self) -> float:
        milliseconds = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        if milliseconds > 0:
            return float(milliseconds) / 1000
        return (self._grabbed - 1) / self.rate if 0 < self.rate < 1000 else float("nan")

    @property
    def promised(self) -> int:
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT) if self._source.kind == "file" else 0
        return int(count) if 0 < count < 1e9 else 0

    def close(self) -> None:
        self._capture.release()


class RawCapture:
    """Raw BGR frames, one after the other."""

    def __init__(self, size: RawSize, read: Callable[[int], bytes] | None = None) -> None:
        """`read` gives at most so many bytes, and none at the end; None reads stdin."""
        self._size = size
        self.rate = size.rate
        self._read = read or partial(os.read, 0)  # and not sys.stdin, which Python locks while a thread waits for it
        self._data = b""
        self._grabbed = 0

    def grab(self) -> bool:
        length = self._size.width * self._size.height * 3
        parts, missing = [], length
        while missing and (part := self._read(missing)):
            parts.append(part)
            missing -= len(part)
        self._data = b"".join(parts)
        self._grabbed += bool(parts)
        return bool(parts)

    def retrieve(self) -> Picture | None:
        shape = self._size.height, self._size.width, 3
        if len(self._data) != np.prod(shape):
            return None  # the last frame was cut short
        return np.frombuffer(self._data, np.uint8).reshape(shape)

    def time(self) -> float:
        return (self._grabbed - 1) / self._size.rate

    @property
    def promised(self) -> int:
        return 0

    def close(self) -> None:
        """Stdin stays open: it is not ours."""


def open_capture(source: Source, timeout: float) -> Capture:
    """`source` opened; raises InputError where it cannot be."""
    return RawCapture(source.raw) if source.raw else VideoCapture(source, timeout)


def _open(source: Source, timeout: float) -> cv2.VideoCapture:
    if source.kind == "camera":
        return cv2.VideoCapture(int(source.where))
    if source.kind == "pipeline":
        return cv2.VideoCapture(source.where, cv2.CAP_GSTREAMER)
    if source.kind == "file":
        return cv2.VideoCapture(source.where)
    opening, reading = (max(round(seconds * 1000), 1) for seconds in (max(timeout, OPENING), timeout))
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, opening, cv2.CAP_PROP_READ_TIMEOUT_MSEC, reading]
    return cv2.VideoCapture(source.where, cv2.CAP_FFMPEG, limits)


def _why_closed(source: Source) -> str:
    if source.kind == "camera":
        here = sorted(str(path) for path in Path("/dev").glob("video*"))
        seen = f"this machine has {', '.join(here)}" if here else "this machine has no /dev/video*"
        return f"there is no {source.name}, or another program has it; {seen}"
    if source.kind == "pipeline":
        return "GStreamer cannot start the pipeline; try it with gst-launch-1.0, and with GST_DEBUG=2 in front"
    if source.kind == "address":
        return f"nothing is sent from {source.name}; check the address, the password and the network"
    if Path(source.where).suffix.lower() in IN_SOME_OPENCV or not Path(source.where).stat().st_size:
        return f"{source.name} is empty or not a video; name another file"
    return (
        f"{source.name} is damaged, not a video, or has a codec that this OpenCV lacks; "
        "write it anew: ffmpeg -i IN -c:v libx264 OUT.mp4"
    )

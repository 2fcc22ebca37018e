"""The stream as people see it: with boxes, in a video file or in a window."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.live import Person
from fiqa_runtime.terminal.outputs import check_output_file

CODECS = {".mp4": "mp4v", ".m4v": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".mkv": "MJPG"}
"""By the end of the file's name."""
TITLE = "fiqa-watch"
_ACCEPTED, _WAITING, _LOST = (90, 230, 70), (60, 200, 255), (150, 150, 150)
_DARK, _WHITE = (20, 20, 20), (255, 255, 255)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_people(image: Image, people: Sequence[Person]) -> Image:
    """A copy of a uint8 BGR frame with a box for each person: their number, and the highest quality so far.

    Green where there is a picture to show, amber where there is none yet, grey where they are not seen just now.
    """
    picture: Image = image.copy()
    line = max(round(max(image.shape[:2]) / 400), 1)
    scale = max(image.shape[0] / 1000, 0.35)
    for person in people:
        left, top, right, bottom = np.rint([*person.box[:2], *(person.box[:2] + person.box[2:])]).astype(int).tolist()
        colour = _LOST if person.lost else _ACCEPTED if person.accepted else _WAITING
        for shade, width in ((_DARK, line + 2), (colour, line)):
            cv2.rectangle(picture, (left, top), (right, bottom), shade, width, cv2.LINE_AA)
        text = f"#{person.track}" if person.quality is None else f"#{person.track} {person.quality:.3f}"
        (wide, high), _ = cv2.getTextSize(text, _FONT, scale, 1)
        x = min(max(left, 0), max(image.shape[1] - wide, 0))
        y = top - 4 if top > high + 8 else bottom + high + 4
        cv2.rectangle(picture, (x - 2, y - high - 3), (x + wide + 2, y + 3), _DARK, cv2.FILLED)
        cv2.putText(picture, text, (x, y), _FONT, scale, _WHITE, max(round(scale * 1.5), 1), cv2.LINE_AA)
    return picture


class OverlayVideo:
    """A video file with the boxes drawn."""

    def __init__(self, path: Path, rate: float) -> None:
        """Raises InputError for a name whose end is no video that OpenCV writes, and where it cannot be written."""
        if path.suffix.lower() not in CODECS:
            raise InputError(f"--overlay {path} is not a video by its name; end it in {', '.join(CODECS)}")
        check_output_file(path)
        self._path, self._rate = path, rate
        self._writer: cv2.VideoWriter | None = None
        self._size = 0, 0

    def write(self, picture: Image) -> None:
        """Add one picture; one of another size than the first is stretched to it."""
        if self._writer is None:
            self._size = picture.shape[1], picture.shape[0]
            codec = cv2.VideoWriter.fourcc(*CODECS[self._path.suffix.lower()])
            self._writer = cv2.VideoWriter(str(self._path), codec, self._rate, self._size)
            if not self._writer.isOpened():
                raise InputError(f"this OpenCV cannot write {self._path}; end the name in .avi, or install FFmpeg's")
        if (picture.shape[1], picture.shape[0]) != self._size:
            picture = np.asarray(cv2.resize(picture, self._size), np.uint8)
        self._writer.write(picture)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()


class Window:
    """A window on this machine's screen."""

    def __init__(self) -> None:
        """Raises InputError where there is no screen, DependencyError where OpenCV opens no windows."""
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise InputError("--show needs a screen, and DISPLAY names none; leave it out or use --overlay out.mp4")
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL)
        except cv2.error as error:
            raise DependencyError(
                "this OpenCV opens no windows; remove opencv-python-headless and pip install 'fiqa-edge[opencv]'"
            ) from error

    def show(self, picture: Image) -> bool:
        """Show one picture; False once a person has pressed q or Escape."""
        cv2.imshow(TITLE, picture)
        return cv2.waitKey(1) & 0xFF not in (ord("q"), 27)

    def close(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()

"""The best pictures as files."""

from __future__ import annotations

import time
from pathlib import Path

import cv2

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.live import Event, Source
from fiqa_runtime.system.files import write_bytes
from fiqa_runtime.terminal.outputs import check_output_folder
from fiqa_runtime.watch_command.losses import Losses

JPEG_QUALITY = 95


class Pictures:
    """Writes each best picture into a folder: ``clip-00003.jpg`` for track 3 of clip.mp4; of a live source the time at
    which watching began stands in front, so that a restarted service overwrites nothing. Further pictures of a track
    are ``clip-00003-2.jpg`` and so on."""

    def __init__(self, folder: Path, source: Source, losses: Losses) -> None:
        """Raises InputError where nothing can be written to `folder`."""
        check_output_folder(folder)
        self._folder, self._losses = folder, losses
        began = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._stem = Path(source.where).stem if source.kind == "file" else began
        self.written = 0

    def write(self, event: Event) -> list[str | None]:
        """The files of the pictures of a best event, None for one that was lost; no files for other events."""
        if event.kind != "best":
            return []
        return [self._one(event.track, number, shot.picture) for number, shot in enumerate(event.shots, 1)]

    def _one(self, track: int, number: int, picture: Image) -> str | None:
        path = self._folder / f"{self._stem}-{track:05}{f'-{number}' if number > 1 else ''}.jpg"
        try:
            write_bytes(path, encode(picture))
        except InputError as error:
            self._losses.lost("picture", error)
            return None
        self._losses.kept("picture")
        self.written += 1
        return str(path)


def encode(picture: Image) -> bytes:
    """A uint8 BGR picture as a JPEG file."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()

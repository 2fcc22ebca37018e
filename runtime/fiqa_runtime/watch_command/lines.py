"""Events as lines: of JSON for programs, of a table for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from fiqa_runtime.live import Event, Shot
from fiqa_runtime.system.files import writing
from fiqa_runtime.terminal.console import paint
from fiqa_runtime.watch_command.losses import Losses

Line = dict[str, Any]


def line_of(event: Event, files: Sequence[str | None] = ()) -> Line:
    """One event as plain data; `files` are the pictures of its shots, in their order."""
    line: Line = {
        "event": event.kind,
        "track": event.track,
        "time": round(event.time, 4),
        "frame": event.frame,
        "told": round(event.told, 4),
        "quality": event.quality,
        "confidence": event.face.confidence,
        "box": event.face.box.tolist(),
        "landmarks": event.face.landmarks.tolist(),
        "file": files[0] if files else None,
    }
    if len(event.shots) > 1:
        names = files or [None] * len(event.shots)
        line["others"] = [_other(*pair) for pair in zip(event.shots[1:], names[1:], strict=True)]
    return line


def _other(shot: Shot, file: str | None) -> Line:
    where = {"time": round(shot.time, 4), "frame": shot.frame}
    return {**where, **shot.face.as_dict(), "file": file}


class JsonLines:
    """Appends a line for each event to a file, or to stdout for ``-``; each is written out at once."""

    def __init__(self, destination: str, losses: Losses) -> None:
        """Raises InputError where the file cannot be opened."""
        self._losses = losses
        self._file: IO[str] | None = None
        if destination != "-":
            with writing(Path(destination)):
                self._file = Path(destination).open("a", encoding="utf-8")  # noqa: SIM115  # close() closes it

    def write(self, line: Line) -> None:
        """Write one line. A file that cannot be written is a loss; stdout that cannot be ends the command."""
        text = json.dumps(line, allow_nan=False) + "\n"
        if self._file is None:
            sys.stdout.write(text)
            sys.stdout.flush()
            return
        try:
            self._file.write(text)
            self._file.flush()
            self._losses.kept("line")
        except OSError as error:
            self._losses.lost("line", error.strerror or error)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self._losses.lost("line", error.strerror or error)


class Table:
    """A line on stdout for each best picture."""

    def __init__(self, threshold: float | None) -> None:
        self._threshold = threshold
        self._begun = False

    def write(self, event: Event, files: Sequence[str | None]) -> None:
        """Print `event` where it is a best picture."""
        if event.kind != "best" or event.quality is None:
            return
        if not self._begun:
            sys.stdout.write(f"{'track':>5}  {'time':>9}  {'frame':>7}  {'quality':>8}  box\n")
            self._begun = True
        x, y, width, height = event.face.box
        quality = f"{event.quality:8.4f}" if self._threshold is None else paint(f"{event.quality:8.4f}", "green")
        file = f"  {files[0]}" if files and files[0] else ""
        sys.stdout.write(
            f"{event.track:5}  {event.time:8.2f}s  {event.frame:7}  {quality}  "
            f"{x:.0f},{y:.0f} {width:.0f} x {height:.0f}{file}\n"
        )
        sys.stdout.flush()

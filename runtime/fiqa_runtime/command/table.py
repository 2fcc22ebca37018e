"""The table that people read where they asked for no file: a line per face, aligned, and a last line over all."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from fiqa_runtime.command.accounting import counted
from fiqa_runtime.command.results import ImageResult
from fiqa_runtime.terminal.console import paint

WIDEST = 48
"""Characters of the column of names on a terminal; of a longer name the end is shown."""


class Table:
    """Lines of text for results as they come. `names` are the images that will come, which set the width."""

    def __init__(self, names: Sequence[Path], crops: bool, threshold: float | None) -> None:
        width = max((len(str(name)) for name in names), default=0)
        self._width = min(width, WIDEST) if sys.stdout.isatty() else width
        self._crops = crops
        self._threshold = threshold
        self._images = self._scores = self._below = 0
        self._worst: tuple[float, Path] | None = None
        self.begins = True
        """Whether no line was made yet."""

    def head(self) -> str:
        """The names of the columns."""
        self.begins = False
        verdict = "" if self._threshold is None else f"  {'verdict':8}"
        of_faces = "" if self._crops else f"  {'face':>4}  {'confidence':>10}  box"
        return f"{'image':{self._width}}  {'quality':>8}{verdict}{of_faces}"

    def lines(self, result: ImageResult) -> Iterator[str]:
        """A line for each face of `result`, or one that says why there is none."""
        name = self._name(result.path)
        if result.error:
            yield f"{name}  refused: {str(result.error).removeprefix(f'{result.path}: ')}"
            return
        self._images += 1
        if result.quality is not None:
            yield f"{name}  {self._score(result, result.quality)}"
        elif not result.faces:
            yield f"{name}  {'no face':>8}"
        for number, face in enumerate(result.faces or ()):
            x, y, width, height = face.box
            box = f"{x:.0f},{y:.0f} {width:.0f} x {height:.0f}"
            yield f"{name}  {self._score(result, face.quality)}  {number:4}  {face.confidence:10.3f}  {box}"

    def last(self) -> Iterator[str]:
        """How many were scored, how many of them are below the threshold, and which is the worst; nothing where none
        was."""
        if self._worst is None:
            return
        scored = counted(self._scores, "crop" if self._crops else "face")
        parts = [scored if self._crops else f"{scored} in {counted(self._images, 'photo')}"]
        if self._threshold is not None:
            parts.append(f"{self._below} below {self._threshold:g}")
        quality, path = self._worst
        yield ", ".join([*parts, f"worst {quality:.4f} in {path}"])

    def _name(self, path: Path) -> str:
        name = str(path)
        return f"{name if len(name) <= self._width else '…' + name[1 - self._width :]:{self._width}}"

    def _score(self, result: ImageResult, quality: float) -> str:
        self._scores += 1
        self._worst = min(self._worst or (quality, result.path), (quality, result.path), key=lambda pair: pair[0])
        accepted = result.accepts(quality)
        if accepted is None:
            return f"{quality:8.4f}"
        self._below += not accepted
        return paint(f"{quality:8.4f}  {'accepted' if accepted else 'rejected'}", "green" if accepted else "red")

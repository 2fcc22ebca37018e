"""What a run has done so far, beside its outputs, so that the same command with ``--resume`` goes on from there.

The journal of ``scores.csv`` is ``scores.csv.journal``: one line of JSON on the run (engine, settings, outputs), then
one per image with its size and time, what became of it, and how many bytes of each output are whole with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TextIO

from fiqa_runtime.errors import InputError
from fiqa_runtime.rows.pictures import state_of
from fiqa_runtime.runs.part_file import Convert, PartFile, beside, open_own, part_of
from fiqa_runtime.system.files import is_special, writing

VERSION = 1
EMPTY: Mapping[Path, Convert] = MappingProxyType({})


@dataclass(frozen=True)
class Done:
    """One image of an earlier part of the run."""

    size: int
    time: int
    """Of the last write of the image, in nanoseconds; -1 and size -1 where there was no such file."""
    outcome: str
    error: str | None


@dataclass(frozen=True)
class _Before:
    """What an earlier run has left."""

    head: Mapping[str, Any]
    done: Mapping[str, Done]
    sizes: Sequence[int]
    """Bytes of each output that are whole."""
    length: int
    """Bytes of the journal that are whole."""


class Journal:
    """The growing `outputs` of a run, and what is in them.

    `run` is what decides the results, as plain JSON: the SHA-256 of the engine and the settings. FIFOs and devices
    among the outputs get everything that comes, and nothing is noted for them. `convert` says of which outputs the file
    is made at the end, see :class:`PartFile`. Raises InputError where an earlier run was cut and `resume` is not asked
    for, where the earlier run was another one, and where a file cannot be written.
    """

    def __init__(
        self, outputs: Sequence[Path], run: Mapping[str, Any], resume: bool, convert: Mapping[Path, Convert] = EMPTY
    ) -> None:
        self._named = [path for path in outputs if not is_special(path)]
        self._head = {"fiqa_journal": VERSION, "run": dict(run), "outputs": [str(path) for path in self._named]}
        before = self._before(resume)
        self.done: Mapping[str, Done] = before.done if before else {}
        """What was done before, by name of the image, in the order of the run."""
        keep = dict(zip(self._named, before.sizes, strict=True)) if before else {}
        self.parts = {path: PartFile(path, keep.get(path, 0), convert.get(path)) for path in outputs}
        self._journal = self._open(before.length if before else 0) if self._named else None

    def add(self, image: Path, outcome: str, error: str | None) -> None:
        """Note that all that is to be said of `image` stands in the parts."""
        sizes = {path: part.flush() for path, part in self.parts.items()}
        if self._journal is None:
            return
        size, time = state_of(image)
        record = {"image": str(image), "size": size, "time": time, "outcome": outcome, "error": error}
        with writing(self._path):
            self._journal.write(json.dumps({**record, "at": [sizes[path] for path in self._named]}) + "\n")
            self._journal.flush()

    def skips(self, image: Path) -> bool:
        """Whether `image` was done before; raises InputError where it has changed since."""
        before = self.done.get(str(image))
        if before is None:
            return False
        if (before.size, before.time) != state_of(image):
            raise InputError(f"{image} has changed since it was scored; {self._anew()}")
        return True

    def finish(self) -> None:
        """Give the outputs their names and remove the journal."""
        for part in sorted(self.parts.values(), key=lambda part: part.convert is None):  # first what may fail
            part.finish()
        self._end(remove=True)

    def discard(self) -> None:
        """Remove the outputs and the journal."""
        for part in self.parts.values():
            part.discard()
        self._end(remove=True)

    def close(self) -> None:
        """Leave everything as it is, to go on from later."""
        for part in self.parts.values():
            part.close()
        self._end(remove=False)

    @property
    def can_go_on(self) -> bool:
        """Whether `--resume` can go on from what is here."""
        return bool(self._named)

    @property
    def _path(self) -> Path:
        return journal_of(self._named[0])

    def _end(self, remove: bool) -> None:
        if self._journal is not None:
            self._journal.close()
            if remove:
                self._path.unlink(missing_ok=True)

    def _open(self, length: int) -> TextIO:
        with writing(self._path):
            stream = open_own(self._path, length)
            if not length:
                stream.write(json.dumps(self._head) + "\n")
                stream.flush()
        return stream

    def _before(self, resume: bool) -> _Before | None:
        left = [part for part in map(part_of, self._named) if part.exists()]
        if not left:
            return None
        if not resume:
            raise InputError(f"{left[0]} is left of a run that was cut; add --resume to go on, or {self._anew()}")
        before = _read(self._path, self._named)
        if before is None:
            if any(part.stat().st_size for part in left):
                raise InputError(f"{left[0]} has no whole journal {self._path} to go on from; {self._anew()}")
            return None
        if before.head != self._head:
            raise InputError(
                f"{left[0]} was begun with another engine, other settings or outputs; use those, or {self._anew()}"
            )
        return before if before.done else None

    def _anew(self) -> str:
        names = [*map(part_of, self._named), self._path]
        return f"delete {', '.join(map(str, names))} to begin anew"


def _read(path: Path, outputs: Sequence[Path]) -> _Before | None:
    """The journal at `path` as far as it is whole and its `outputs` hold what it says; None where its head is not."""
    try:
        first, *lines = path.read_bytes().splitlines(keepends=True) or [b""]
    except OSError:
        return None
    head = _entry(first, {"fiqa_journal", "run", "outputs"})
    if head is None:
        return None
    there = [part.stat().st_size if part.exists() else 0 for part in map(part_of, outputs)]
    done, sizes, length = {}, [0] * len(outputs), len(first)
    for line in lines:
        entry = _entry(line, {"image", "size", "time", "outcome", "error", "at"})
        if entry is None or len(entry["at"]) != len(there) or any(map(int.__gt__, entry["at"], there)):
            break
        done[entry["image"]] = Done(entry["size"], entry["time"], entry["outcome"], entry["error"])
        sizes, length = entry["at"], length + len(line)
    return _Before(head, done, sizes, length)


def _entry(line: bytes, keys: set[str]) -> dict[str, Any] | None:
    """One line of a journal with just these `keys`; None where it was cut."""
    try:
        entry = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and entry.keys() == keys else None


def journal_of(path: Path) -> Path:
    """Where the journal of a run lies whose first output is `path`."""
    return beside(path, "journal")

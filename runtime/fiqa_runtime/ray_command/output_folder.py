"""The folder of Parquet files that a run on Ray fills, and the notes that let a run that was cut go on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fiqa_runtime.errors import InputError
from fiqa_runtime.rows.stores import Place, place_at, told_by_store

NOTES = ".run"
"""What the notes are called beside the folder."""
VERSION = 1


class OutputFolder:
    """Where the rows go: `name` is a path that all machines see, or a URI.

    Beside it lies a folder of notes as long as the run is not at its end: what decides the results, and under
    :attr:`done` the ids that Ray has written.
    """

    def __init__(self, name: str) -> None:
        self.place = place_at(name.rstrip("/"))
        self.notes = place_at(_named(name, NOTES))
        self.done = self.notes / "done"

    def refuse_within(self, names: Iterable[str]) -> None:
        """Raise InputError where the folder lies in one of those at `names`, which are searched: a run that goes on
        would find its own files there."""
        for searched in map(place_at, names):
            if f"{self.place}/".startswith(f"{str(searched).rstrip('/')}/"):
                raise InputError(f"{self.place} lies in {searched}, which is searched; name a folder elsewhere")

    def begin(self, run: Mapping[str, Any], resume: bool) -> None:
        """Note that a run begins, or goes on, whose results are decided by `run`, which is plain JSON.

        Raises InputError where an earlier run was cut and `resume` is not asked for, where that was another run, where
        the folder holds files of a run that is at its end, and where nothing can be written.
        """
        head = {"fiqa_run": VERSION, "run": dict(run)}
        try:
            before = self._before()
            if before is None:
                if not self.is_empty():
                    raise InputError(f"{self.place} is there and not of a run that was cut; name a new folder")
                self.notes.files.create_dir(self.notes.path, recursive=True)
                with self._head.files.open_output_stream(self._head.path) as stream:
                    stream.write(json.dumps(head).encode())
            elif not resume:
                raise InputError(f"{self.place} is of a run that was cut; add --resume to go on, or {self._anew()}")
            elif before != head:
                raise InputError(
                    f"{self.place} was begun with another engine, other settings or images; use those, or "
                    f"{self._anew()}"
                )
        except OSError as error:
            raise InputError(
                f"cannot write to {self.notes}: {told_by_store(error)}; check the name and your rights"
            ) from error

    def finish(self) -> None:
        """Remove the notes; raises OSError."""
        self.notes.files.delete_dir(self.notes.path)

    def drop_if_empty(self) -> bool:
        """Remove the notes where nothing was written, so that a run that failed at once leaves nothing; tell whether
        that is so."""
        from pyarrow import fs

        empty = self.is_empty() and self.done.files.get_file_info(self.done.path).type == fs.FileType.NotFound
        if empty:
            self.finish()
        return empty

    def is_empty(self) -> bool:
        """Whether there is no file in the folder, and none in its place."""
        from pyarrow import fs

        if self.place.files.get_file_info(self.place.path).type == fs.FileType.File:
            return False
        inside = self.place.files.get_file_info(fs.FileSelector(self.place.path, allow_not_found=True, recursive=True))
        return not any(info.type == fs.FileType.File for info in inside)

    @property
    def _head(self) -> Place:
        return self.notes / "run.json"

    def _before(self) -> object:
        """What an earlier run has noted at its begin; None where there was none."""
        from pyarrow import fs

        if self._head.files.get_file_info(self._head.path).type == fs.FileType.NotFound:
            return None
        with self._head.files.open_input_stream(self._head.path) as stream:
            try:
                return json.loads(stream.read())
            except ValueError:
                raise InputError(f"{self._head} is damaged; {self._anew()}") from None

    def _anew(self) -> str:
        return f"delete {self.place} and {self.notes} to begin anew"


def _named(name: str, suffix: str) -> str:
    """`name` with `suffix` behind its path, before what a URI says of how the store is reached."""
    path, mark, rest = name.partition("?") if "://" in name else (name, "", "")
    return f"{path.rstrip('/')}{suffix}{mark}{rest}"

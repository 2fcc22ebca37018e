"""Embeddings while they are made: rows in one file, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from fiqa_runtime.errors import InputError, VerdictError
from fiqa_runtime.system.files import write_text
from fiqa_runtime.terminal.outputs import check_output_folder
from numpy.typing import NDArray

from fiqa_evaluation.embedding.recogniser import NEAR

ROWS, STATE = "rows.npy", "state.json"
EVERY = 1.0
"""Seconds after which rows are written through to the disk, which takes as long as some embeddings do."""


class Store:
    """N rows of D float32 in the folder `path`, filled from the first to the last.

    Raises InputError where a run with other settings began there, VerdictError where the network gives other canaries
    than it gave to that run.
    """

    def __init__(self, path: Path, mark: Mapping[str, Any], canaries: NDArray[np.float32], count: int) -> None:
        self.path = path
        check_output_folder(path)
        state = self._state()
        if state is None:
            np.lib.format.open_memmap(path / ROWS, "w+", np.float32, (count, canaries.shape[1])).flush()
            state = {"mark": dict(mark), "canaries": canaries.tolist(), "done": 0, "refused": {}}
        elif state["mark"] != dict(mark):
            raise InputError(f"{path} was begun with another network or set; delete it or choose another --out")
        elif np.shape(state["canaries"]) != canaries.shape or np.abs(state["canaries"] - canaries).max() > NEAR:
            raise VerdictError(
                f"the network gives other embeddings here than when {path} was begun; delete it and embed all again"
            )
        self._kept = state
        self.rows: Any = np.load(path / ROWS, mmap_mode="r+")
        self._keep()

    @property
    def done(self) -> int:
        """Rows that are filled or refused."""
        return int(self._kept["done"])

    @property
    def refused(self) -> dict[str, str]:
        """Why images have no row, by name."""
        return dict(self._kept["refused"])

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep what is finished within, also where that is interrupted."""
        try:
            yield
        finally:
            self._keep()

    def finish(self, done: int, refused: Mapping[str, str]) -> None:
        """Say that everything before the row `done` is finished; a killed run loses a second of it."""
        self._kept = {**self._kept, "done": done, "refused": {**self._kept["refused"], **refused}}
        if time.monotonic() > self._due:
            self._keep()

    def _keep(self) -> None:
        self.rows.flush()
        write_text(self.path / STATE, json.dumps(self._kept))
        self._due = time.monotonic() + EVERY

    def remove(self) -> None:
        """Delete the folder."""
        del self.rows
        shutil.rmtree(self.path)

    def _state(self) -> dict[str, Any] | None:
        try:
            found = json.loads((self.path / STATE).read_text("utf-8"))
            return {key: found[key] for key in ("mark", "canaries", "done", "refused")}
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self.path} is damaged; delete it and embed the images again") from error

"""Where an artefact lies, and which files belong to it."""

from __future__ import annotations

from pathlib import Path

from fiqa_runtime.artefact.card import card_path
from fiqa_runtime.errors import InputError
from fiqa_runtime.onnx_bytes.data_file import data_file
from fiqa_runtime.system.files import NamedFile

ENGINES = Path("engines")
"""Folder that fiqa-export writes to, and in which a bare file name is looked for."""


def find_artefact(name: str | Path) -> Path:
    """The file `name`; a bare file name is also looked for in ``engines/``. Raises InputError where it is in
    neither."""
    path = Path(name)
    candidates = [path, ENGINES / path] if path.parent == Path() else [path]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    looked = " or ".join(str(c) for c in candidates)
    raise InputError(f"no artefact at {looked}; make one with fiqa-export {path.name.split('.')[0] or 'MODEL'}")


def artefact_inputs(engine: str) -> list[NamedFile]:
    """The files of the artefact `engine`, which no output may replace; raises InputError where there is none."""
    path = find_artefact(engine)
    files = {"the artefact": path, "the artefact's card": card_path(path), "the artefact's weights": data_file(path)}
    return list(files.items())

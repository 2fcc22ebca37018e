"""Where an artefact lies, and which files belong to it."""

from __future__ import annotations

import json
import os
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


def default_engine() -> Path:
    """The artefact to score with where none is named: the only one of a quality network in ``engines/``, else what
    the environment variable FIQA_ENGINE names.

    A plan that a link names counts once, and one beside the ONNX file it was built of does not count: that file runs on
    every machine, and ``--engine`` names the plan. Raises InputError where there is none, or several and no variable.
    """
    found = {path.resolve(): path for path in sorted(ENGINES.glob("*")) if _gives_scores(path)}
    found = {real: path for real, path in found.items() if real.suffix == ".onnx" or not _beside_its_onnx(real)}
    named = os.environ.get("FIQA_ENGINE")
    if len(found) == 1:
        return next(iter(found.values()))
    if named:
        return find_artefact(named)
    if found:
        names = ", ".join(path.name for path in found.values())
        raise InputError(f"{ENGINES} holds {names}; name one of them with --engine, or set FIQA_ENGINE")
    raise InputError(
        "no artefact to score with; make one with fiqa-export ediffiqa-t, or name a file with --engine or FIQA_ENGINE"
    )


def _beside_its_onnx(plan: Path) -> bool:
    return plan.with_suffix(".onnx").is_file()


def _gives_scores(path: Path) -> bool:
    """Whether `path` is an artefact of a quality network, as far as its card says without being checked."""
    if path.suffix not in (".onnx", ".plan"):
        return False
    try:
        outputs = json.loads(card_path(path.resolve()).read_bytes())["outputs"]
        return any(output["kind"] == "score" for output in outputs)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def artefact_inputs(engine: str) -> list[NamedFile]:
    """The files of the artefact `engine`, which no output may replace; raises InputError where there is none."""
    path = find_artefact(engine)
    files = {"the artefact": path, "the artefact's card": card_path(path), "the artefact's weights": data_file(path)}
    return list(files.items())

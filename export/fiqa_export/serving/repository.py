"""Adds models to a model repository of NVIDIA Triton: each export becomes the next version, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from fiqa_runtime.artefact.card import Card, card_path
from fiqa_runtime.errors import InputError
from fiqa_runtime.system.files import sha256_of, write_text
from fiqa_runtime.terminal.outputs import check_output_folder

from fiqa_export.serving.copying import copy_artefact

NOTHING: Mapping[str, Path] = MappingProxyType({})


def add_model(model: Path, configuration: str, artefact: Path, card: Card, more: Mapping[str, Path] = NOTHING) -> Path:
    """Make `artefact` with its card the next version in the folder `model`, which is returned.

    `more` are files that go beside it, by the name that they get there. A version that is there already is not copied
    again. Raises InputError where the folder cannot be written.
    """
    check_output_folder(model)
    latest = max((int(path.name) for path in model.iterdir() if path.name.isdigit()), default=0)
    if not _holds(model / str(latest), artefact.name, card, more):
        _copy_version(artefact, card, more, model, latest + 1)
    write_text(model / "config.pbtxt", configuration)
    return model


def _holds(version: Path, artefact: str, card: Card, more: Mapping[str, Path]) -> bool:
    beside = card_path(version / artefact)
    if not beside.is_file() or beside.read_text(encoding="utf-8") != card.to_json() + "\n":
        return False
    there = {name: version / name for name in more}
    return all(path.is_file() and sha256_of(path) == sha256_of(more[name]) for name, path in there.items())


def _copy_version(artefact: Path, card: Card, more: Mapping[str, Path], model: Path, number: int) -> None:
    """Copy into a folder that Triton ignores, and rename it when it is complete."""
    try:
        with tempfile.TemporaryDirectory(prefix=".version-", dir=model) as folder:
            version = Path(folder) / str(number)
            version.mkdir()
            for name, path in more.items():
                shutil.copyfile(path, version / name)
            copy_artefact(artefact, card, version)
            version.rename(model / str(number))
    except OSError as error:
        raise InputError(
            f"cannot add version {number} to {model}: {error.strerror}; run it again or choose another folder"
        ) from error

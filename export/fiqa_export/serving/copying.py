"""What all serving formats share: they check the artefact, and copy it with its data file and its card."""

from __future__ import annotations

import shutil
from pathlib import Path

from fiqa_runtime.artefact.card import Card, with_files, write_card
from fiqa_runtime.errors import InputError, UnsupportedError
from fiqa_runtime.system.files import replacing


def refuse_plan(file: str, card: Card, server: str) -> None:
    """Raise UnsupportedError where `card` describes a plan that `server` cannot load, or cannot feed one image."""
    if card.plan is None:
        return
    if card.plan.flavour == "tensorrt_rtx":
        raise UnsupportedError(
            f"{server} loads no TensorRT-RTX plans such as {file}; hand over the ONNX file or build --target tensorrt"
        )
    profile = card.plan.profile[card.input.name]
    smallest, largest = profile.min[0], profile.max[0]
    if smallest > 1:
        raise UnsupportedError(
            f"{file} takes batches from {smallest}, {server} sends single images too; "
            f"build it with --batch 1,{largest},{largest}"
        )


def max_batch(card: Card) -> int:
    """Largest batch to send at once: a plan's own, whatever multiple of it the card recommends to our runtime."""
    return card.plan.profile[card.input.name].max[0] if card.plan is not None else card.max_batch


def copy_artefact(artefact: Path, card: Card, folder: Path) -> None:
    """Copy the files of `artefact` into `folder` under their names, each through a temporary file, and the card last.

    Raises InputError where a file cannot be copied.
    """
    names = list(dict.fromkeys((*card.files, artefact.name)))  # the card inside a file does not name the file
    for name in names:
        try:
            with replacing(folder / name) as unfinished:
                shutil.copy2(artefact.parent / name, unfinished)
        except OSError as error:
            raise InputError(
                f"cannot copy {name} to {folder}: {error.strerror}; make room there or choose another folder"
            ) from error
    write_card(with_files(card, folder, names), folder / artefact.name)

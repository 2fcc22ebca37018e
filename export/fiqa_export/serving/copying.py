"""What all serving formats share: they check the artefact, and copy it with its data file and its card."""

from __future__ import annotations

import shutil
from pathlib import Path

from fiqa_runtime.artefact.card import Card, write_card
from fiqa_runtime.errors import InputError, UnsupportedError
from fiqa_runtime.system.files import replacing


def refuse_plan(file: str, card: Card, server: str) -> None:
    """Raise UnsupportedError where `card` describes a plan that `server` cannot load, or cannot feed one image."""
    if card.plan.get("flavour") == "tensorrt_rtx":
        raise UnsupportedError(
            f"{server} loads no TensorRT-RTX plans such as {file}; hand over the ONNX file or build --target tensorrt"
        )
    if card.format == "plan":
        smallest, largest = (card.plan["profile"][card.input.name][key][0] for key in ("min", "max"))
        if smallest > 1:
            raise UnsupportedError(
                f"{file} takes batches from {smallest}, {server} sends single images too; "
                f"build it with --batch 1,{largest},{largest}"
            )


def max_batch(card: Card) -> int:
    """Largest batch that a server may send: that of a plan's profile, else that of the card. The card of a plan gives a
    multiple, for our runtime."""
    return int(card.plan["profile"][card.input.name]["max"][0]) if card.format == "plan" else card.max_batch


def copy_artefact(artefact: Path, card: Card, folder: Path) -> None:
    """Copy the files of `artefact` into `folder` under their names, each through a temporary file, and the card last.

    Raises InputError where a file cannot be copied.
    """
    for name in card.files:
        try:
            with replacing(folder / name) as unfinished:
                shutil.copy2(artefact.parent / name, unfinished)
        except OSError as error:
            raise InputError(
                f"cannot copy {name} to {folder}: {error.strerror}; make room there or choose another folder"
            ) from error
    write_card(card, folder / artefact.name)

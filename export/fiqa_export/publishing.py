"""Puts artefacts on disk: each is written in a folder of its own, sealed with its card, and only then given its
name."""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import onnx
from fiqa_runtime.artefact.card import METADATA_KEY, Card, card_path, with_files, write_card
from fiqa_runtime.errors import VerdictError
from fiqa_runtime.onnx_bytes.metadata import append_metadata
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test
from fiqa_runtime.system.files import sha256_file
from fiqa_runtime.system.host import installed_versions

from fiqa_export.graph.files import files_of, write_onnx

VERSIONED_PACKAGES = (
    *("fiqa-edge", "torch", "onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu", "numpy"),
    *("opencv-python", "opencv-python-headless"),
)
STALE_SECONDS = 24 * 3600
"""A workplace in which nothing was written for this long belongs to an export that was killed."""


@contextmanager
def workplace(out: Path) -> Iterator[Path]:
    """A temporary folder in `out`, removed at the end. Makes `out` where it is missing, and removes the workplaces of
    killed exports."""
    out.mkdir(parents=True, exist_ok=True)
    for left in out.glob(".export-*"):
        if time.time() - _last_written(left) > STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=".export-", dir=out))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _last_written(folder: Path) -> float:
    """When anything in `folder` was last written; the present time where the folder disappears meanwhile."""
    with suppress(FileNotFoundError):
        return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    return time.time()


def seal(artefact: Path, card: Card) -> Card:
    """Put the card into the ONNX file and beside it, and let the runtime score the canaries. Returns the card with the
    hashes of all files.

    Raises VerdictError where the verdict on the card is passed and the runtime is too far from the canaries."""
    data = [name for name in files_of(artefact) if name != artefact.name]
    model = onnx.load(str(artefact), load_external_data=False)
    del model.metadata_props[:]
    write_onnx(model, artefact)
    card = replace(card, model_sha256=sha256_file(artefact))
    append_metadata(artefact, METADATA_KEY, with_files(card, artefact.parent, data).to_json())
    onnx.checker.check_model(str(artefact))
    card = with_files(card, artefact.parent, files_of(artefact))
    write_card(card, artefact)
    with Scorer(artefact, "onnxruntime") as scorer:
        result = self_test(scorer)
    if not result.passed and card.parity.passed:
        raise VerdictError(f"{artefact.name} does not reproduce its own canaries ({result}); report this as a bug")
    return card


def publish(folder: Path, out: Path, name: str) -> None:
    """Move the artefact `name` from `folder` to `out`, with the manifest of the calibration images where there is one.

    The old card is removed first and the new one comes last, so that at no moment a card stands beside the wrong file.
    """
    card_path(out / name).unlink(missing_ok=True)
    new = files_of(folder / name)
    for file in sorted(new, reverse=True):
        (folder / file).replace(out / file)
    for file in {*files_of(out / name)} - {*new}:
        (out / file).unlink()
    for manifest in folder.glob("*.calibration.json"):
        manifest.replace(out / manifest.name)
    card_path(folder / name).replace(card_path(out / name))


def versions() -> dict[str, str]:
    """Versions of all packages that take part in an export, by the name under which each is installed."""
    return {"python": platform.python_version(), **installed_versions(VERSIONED_PACKAGES)}

"""An artefact on disk: written in a folder of its own, sealed with its card, and only then given its name."""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import onnx
from fiqa_runtime.artefact.card import METADATA_KEY, Card, card_path, with_files, write_card
from fiqa_runtime.errors import VerdictError
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test
from fiqa_runtime.system.host import installed_versions

from fiqa_export.graph.files import files_of, write_onnx

PACKAGES = (
    *("fiqa-edge", "torch", "onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu", "numpy"),
    *("opencv-python", "opencv-python-headless"),
)
STALE_SECONDS = 24 * 3600
"""A workplace in which nothing was written for so long belongs to an export that was killed."""


@contextmanager
def workplace(out: Path) -> Iterator[Path]:
    """A folder in `out`, which is made where it is missing, removed at the end; those of killed exports go too."""
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
    """When anything in `folder` was last written; now where it goes while it is looked at."""
    with suppress(FileNotFoundError):
        return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    return time.time()


def seal(artefact: Path, card: Card) -> Card:
    """Put the card into the ONNX file and beside it, then prove that the runtime reads both and, after a verdict that
    passed, agrees."""
    data = [name for name in files_of(artefact) if name != artefact.name]
    model = onnx.load(str(artefact), load_external_data=False)
    onnx.helper.set_model_props(model, {METADATA_KEY: with_files(card, artefact.parent, data).to_json()})
    write_onnx(model, artefact)
    onnx.checker.check_model(str(artefact))
    card = with_files(card, artefact.parent, files_of(artefact))
    write_card(card, artefact)
    with Scorer(artefact, "onnxruntime") as scorer:
        result = self_test(scorer)
    if not result.passed and card.parity.passed:
        raise VerdictError(f"{artefact.name} does not reproduce its own canaries ({result}); report this as a bug")
    return card


def publish(folder: Path, out: Path, name: str) -> None:
    """Rename into place: the old card goes first and the new one comes last, so that no moment has a wrong pair.

    The manifest of calibration images goes along where there is one.
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
    """Of everything that takes part in an export, under the names by which it is installed."""
    return {"python": platform.python_version(), **installed_versions(PACKAGES)}

"""The whole chain on one screen: checkpoint -> reference -> ONNX -> parity -> card -> artefact in its place."""

from __future__ import annotations

import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

import onnx
from fiqa_runtime.card import METADATA_KEY, Canary, Card, card_path, with_files, write_card
from fiqa_runtime.console import Report, silent
from fiqa_runtime.errors import VerdictError
from fiqa_runtime.preprocess import Image
from fiqa_runtime.scorer import Scorer
from fiqa_runtime.seeded import seeded_image
from fiqa_runtime.selftest import probe, self_test

from fiqa_export.checkpoint import WeightsInfo, load_reference
from fiqa_export.models import Reference
from fiqa_export.parity import FP32, Arrays, Parity, compare, reference_outputs
from fiqa_export.to_onnx import export_onnx

CANARIES = 4
CANARY_TOLERANCE = 1e-4
"""Self-test on any device: largest |d| as a share of the output's range, for float32 arithmetic."""
PARITY_OPERATIONS = 4e11
"""Multiply-accumulates spent on seeded parity images, within 4 to 32 images."""
STALE_SECONDS = 3600


@dataclass(frozen=True)
class Exported:
    """One finished artefact."""

    path: Path
    card: Card
    parity: Parity
    seconds: float


def export(
    name: str,
    weights: str | None,
    out: Path,
    images: Sequence[Image] = (),
    keep_failed: bool = False,
    report: Report = silent,
) -> Exported:
    """Export the network `name` to ``out/<name>.fp32.onnx`` with its card.

    `images` (uint8 BGR) join the seeded images of the parity check. Nothing appears under its final name before it
    has passed. Raises VerdictError where the parity verdict fails (the artefact then stays only if `keep_failed`),
    and what :func:`fiqa_export.checkpoint.load_reference` raises.
    """
    start = time.perf_counter()
    report(f"{name}: load weights", 0, 1)
    reference, info = load_reference(name, weights, _download_progress(name, report))
    report(f"{name}: load weights", 1, 1)
    with _workplace(out) as folder:
        artefact = folder / f"{reference.spec.name}.fp32.onnx"
        report(f"{name}: write ONNX", 0, 1)
        export_onnx(reference, artefact)
        report(f"{name}: write ONNX", 1, 1)
        card, parity = _check(reference, info, artefact, _parity_images(reference, images), report)
        if not parity.passed and not keep_failed:
            raise VerdictError(f"{name} fp32 differs from torch: {'; '.join(parity.failures)}; --keep-failed keeps it")
        card = _seal(artefact, card)
        _publish(folder, out, artefact.name)
    if not parity.passed:
        raise VerdictError(f"{name} fp32 differs from torch: {'; '.join(parity.failures)}; kept as asked")
    return Exported(out / artefact.name, card, parity, time.perf_counter() - start)


def _download_progress(name: str, report: Report) -> Callable[[int, int | None], None]:
    """Downloads in the same bar, counted in MB."""
    return lambda done, total: report(f"{name}: download (MB)", done >> 20, (total or done) >> 20)


def _check(
    reference: Reference, info: WeightsInfo, artefact: Path, images: Sequence[Image], report: Report
) -> tuple[Card, Parity]:
    spec = reference.spec
    card = Card(
        model=spec.name,
        precision="fp32",
        format="onnx",
        input=spec.input,
        outputs=spec.outputs,
        licence=spec.licence,
        source=spec.source,
        max_batch=spec.max_batch,
        notes=spec.notes,
        weights=asdict(info),
        versions=_versions(),
    )
    write_card(with_files(card, artefact.parent, _files(artefact)), artefact)
    expected: list[Arrays] = []
    actual: list[Arrays] = []
    with Scorer(artefact, "onnxruntime") as scorer:
        for done, image in enumerate(images):
            report(f"{spec.name}: compare with torch", done, len(images))
            expected.append(reference_outputs(reference, image))
            actual.append(scorer.outputs([image]))
        report(f"{spec.name}: compare with torch", len(images), len(images))
        parity = compare(expected, actual, scorer, FP32)
    tolerance = {name: CANARY_TOLERANCE * span for name, span in parity.range.items()}
    card = replace(card, parity=parity.as_json(), canaries=_canaries(reference, expected), canary_tolerance=tolerance)
    return card, parity


def _parity_images(reference: Reference, images: Sequence[Image]) -> list[Image]:
    """The canaries first, more seeded images, then the user's."""
    count = min(32, max(CANARIES, round(PARITY_OPERATIONS / reference.spec.macs)))
    height, width = reference.calibration_size
    return [seeded_image(index, height, width) for index in range(count)] + list(images)


def _canaries(reference: Reference, expected: Sequence[Arrays]) -> tuple[Canary, ...]:
    height, width = reference.calibration_size
    return tuple(
        Canary(index, height, width, 0, {name: probe(value[0]) for name, value in outputs.items()})
        for index, outputs in enumerate(expected[:CANARIES])
    )


def _seal(artefact: Path, card: Card) -> Card:
    """Put the card into the ONNX file and beside it, then prove that the runtime reads both and agrees."""
    data = [name for name in _files(artefact) if name != artefact.name]
    model = onnx.load(str(artefact), load_external_data=False)
    onnx.helper.set_model_props(model, {METADATA_KEY: with_files(card, artefact.parent, data).to_json()})
    onnx.save(model, str(artefact))
    onnx.checker.check_model(str(artefact))
    card = with_files(card, artefact.parent, _files(artefact))
    write_card(card, artefact)
    with Scorer(artefact, "onnxruntime") as scorer:
        result = self_test(scorer)
    if not result.passed:
        raise VerdictError(f"{artefact.name} does not reproduce its own canaries ({result}); report this as a bug")
    return card


def _files(artefact: Path) -> list[str]:
    data = artefact.with_name(artefact.name + ".data")
    return [artefact.name, data.name] if data.exists() else [artefact.name]


@contextmanager
def _workplace(out: Path) -> Iterator[Path]:
    """A folder in `out`, removed at the end; those of killed exports go too."""
    for left in out.glob(".export-*"):
        if time.time() - left.stat().st_mtime > STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=".export-", dir=out))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(folder: Path, out: Path, name: str) -> None:
    """Rename into place: the old card goes first and the new one comes last, so that no moment has a wrong pair."""
    card_path(out / name).unlink(missing_ok=True)
    for file in sorted(_files(folder / name), reverse=True):
        (folder / file).replace(out / file)
    card_path(folder / name).replace(card_path(out / name))


def _versions() -> dict[str, str]:
    packages = ("fiqa-edge", "torch", "onnx", "onnxscript", "onnxruntime", "numpy", "opencv-python")
    return {"python": platform.python_version(), **{package: version(package) for package in packages}}

"""The whole chain on one screen: checkpoint -> reference -> ONNX -> precision -> parity -> card -> artefact."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fiqa_calibration.dataset import MINIMUM
from fiqa_runtime.artefact.card import Canary, Card, with_files, write_card
from fiqa_runtime.artefact.facts import Conversion, Weights
from fiqa_runtime.artefact.spec import Precision
from fiqa_runtime.errors import InputError, VerdictError
from fiqa_runtime.scoring.canaries import probe
from fiqa_runtime.system.progress import Report, silent

from fiqa_export.convert import convert
from fiqa_export.graph.files import files_of
from fiqa_export.graph.raw_input import take_raw_input
from fiqa_export.int8.step import Int8Order
from fiqa_export.models import Reference
from fiqa_export.own.network import open_network, write_fp32
from fiqa_export.plan.step import Plan, add_plan
from fiqa_export.plan.target import PlanOrder
from fiqa_export.publishing import publish, seal, versions, workplace
from fiqa_export.verdict.judgement import CANARIES, Judgement, judge_artefact, parity_set
from fiqa_export.verdict.parity import Parity
from fiqa_export.verdict.recipe import FP32, Recipe

CANARY_TOLERANCE = 1e-4
"""Self-test on any device: largest |d| as a share of the output's range, for float32 arithmetic."""


@dataclass(frozen=True)
class Options:
    """What to make of a network."""

    recipe: Recipe = FP32
    """Precision and budget."""
    images: Path | None = None
    """Folder of photos or crops that are degraded for the parity check; None: one portrait is degraded."""
    calib: str | None = None
    """For int8: a folder of photos or crops, a file of ranges, or `seeded`."""
    raw_input: bool = False
    """Whether the graph takes uint8 BGR crops (N, H, W, 3) and converts colour order and normalises by itself."""
    keep_failed: bool = False
    """Whether an artefact that fails its verdict is kept."""
    plan: PlanOrder | None = None
    """The TensorRT plan to build of it; None: none is built."""

    def __post_init__(self) -> None:
        """Raises InputError where `calib` is missing for int8, or given for another precision."""
        if (self.recipe.precision == "int8") != (self.calib is not None):
            raise InputError(
                f"--int8 and --calib go together: --calib FOLDER with at least {MINIMUM} photos or aligned crops, "
                "--calib RANGES.json of an earlier export, or --calib seeded to try the toolchain"
            )


@dataclass(frozen=True)
class Exported:
    """One finished artefact."""

    path: Path
    card: Card
    parity: Parity
    seconds: float
    plan: Plan | None = None


def export(
    name: str, weights: str | None, out: Path, options: Options = Options(), report: Report = silent
) -> Exported:
    """Export a network to ``out/<name>.<precision>.onnx`` with its card, and to a plan if asked for.

    `name` is a network's name, or the path of a user's TOML file.

    Nothing appears under its final name before it has passed. Raises VerdictError where the parity verdict fails (the
    artefact is then kept only if `options` say so), and what :func:`fiqa_export.checkpoints.checkpoint.load_reference`,
    :func:`fiqa_export.convert.convert` and :func:`fiqa_export.plan.step.add_plan` raise; the ONNX file stays where only
    the plan fails.
    """
    start = time.perf_counter()
    report(f"{name}: load weights", 0, 1)
    network = open_network(name)
    reference, info = network.load(weights, _download_progress(name, report))
    name = network.name
    report(f"{name}: load weights", 1, 1)
    precision = options.recipe.precision
    with workplace(out) as folder:
        fp32 = folder / f"{reference.spec.name}.fp32.onnx"
        report(f"{name}: write ONNX", 0, 1)
        write_fp32(reference, fp32)
        report(f"{name}: write ONNX", 1, 1)
        images = parity_set(reference, options.recipe, info.kind, options.images)
        budget = options.recipe.budget_for(info.kind)
        int8 = Int8Order(options.calib, images, budget, out, options.keep_failed) if options.calib is not None else None
        artefact, conversion = convert(reference, fp32, precision, int8, report)
        card = _card(reference, info, precision, conversion)
        if options.raw_input:
            take_raw_input(artefact, card.input)
            card = replace(card, input=replace(card.input, raw=True))
        write_card(with_files(card, folder, files_of(artefact)), artefact)
        judgement = judge_artefact(reference, artefact, images, options.recipe, budget, report)
        parity = judgement.parity
        failure = f"{name} {precision} differs from its reference: {'; '.join(parity.failures)}"
        if not parity.passed and not options.keep_failed:
            raise VerdictError(f"{failure}; --keep-failed keeps it")
        card = seal(artefact, _judged(card, reference, judgement, options.recipe))
        publish(folder, out, artefact.name)
    if not parity.passed:
        raise VerdictError(f"{failure}; kept as asked")
    path = out / artefact.name
    plan = add_plan(path, card, options.plan, report) if options.plan else None
    return Exported(path, card, parity, time.perf_counter() - start, plan)


def _download_progress(name: str, report: Report) -> Callable[[int, int | None], None]:
    """Shows a download in the progress bar of the export, counted in MB."""
    return lambda done, total: report(f"{name}: download (MB)", done >> 20, (total or done) >> 20)


def _card(reference: Reference, info: Weights, precision: Precision, conversion: Conversion | None) -> Card:
    spec = reference.spec
    return Card(
        model=spec.name,
        precision=precision,
        format="onnx",
        input=spec.input,
        outputs=spec.outputs,
        licence=spec.licence,
        source=spec.source,
        max_batch=spec.max_batch,
        notes=spec.notes,
        weights=info,
        conversion=conversion,
        versions=versions(),
    )


def _judged(card: Card, reference: Reference, judgement: Judgement, recipe: Recipe) -> Card:
    """`card` with the verdict, the canaries, the tolerance of the self-test, and the map between float32 scores and
    these."""
    height, width = reference.calibration_size
    canaries = tuple(
        Canary(index, height, width, 0, {name: probe(value[0]) for name, value in outputs.items()})
        for index, outputs in enumerate(judgement.expected[:CANARIES])
    )
    return replace(
        card,
        parity=judgement.parity.for_card(),
        canaries=canaries,
        canary_tolerance=_tolerance(card, judgement.parity, recipe),
        score_map=judgement.score_map,
    )


def _tolerance(card: Card, parity: Parity, recipe: Recipe) -> dict[str, float]:
    """How far a device may be from the canaries, by output and in its units: what the budget allows, or twice the
    difference that the parity check found where that is more."""
    tolerance = {}
    for output in card.outputs:
        span, seen = parity.range[output.name], parity.max_abs[output.name]
        allowed = recipe.budget.max_abs.get(output.kind, 0.0) * span
        if allowed < seen < math.inf:
            allowed = 2 * seen
        tolerance[output.name] = max(CANARY_TOLERANCE * span, allowed)
    return tolerance

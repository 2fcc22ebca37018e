"""Runs an artefact and its reference over the parity set; gives the verdict, the order of the ladders and the score
map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from fiqa_calibration.monotone import monotony
from fiqa_calibration.parity_set import RUNGS, ParitySet, folder_pictures, squared
from fiqa_runtime.artefact.facts import Budget
from fiqa_runtime.artefact.score_map import ScoreMap
from fiqa_runtime.artefact.spec import output_of
from fiqa_runtime.backends.base import Arrays, Backend
from fiqa_runtime.images.ladder import ALL
from fiqa_runtime.images.sample_pictures import default_pictures, resized
from fiqa_runtime.scoring.agreement import bootstrap
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.progress import Report

from fiqa_export.models import Reference
from fiqa_export.onnx_on_torch.backend import OnnxOnTorch
from fiqa_export.verdict.parity import Parity, compare, reference_outputs, scores_of
from fiqa_export.verdict.recipe import Recipe

CANARIES = 4
LARGE = 3 * 10**10
"""Networks of at least this many multiply-accumulates are not judged on the portrait's ladders."""
DETECTED = (2, 4)
"""Strengths of the ladders for a detector: it does not rank, and many photos show more than many strengths."""


@dataclass(frozen=True)
class Judgement:
    """What the parity check found."""

    parity: Parity
    expected: list[Arrays]
    """The outputs of the reference, image by image; seeded images 0, 1, ... come first."""
    score_map: ScoreMap | None
    """The map from the reference's scores to the artefact's; None for fp32, and where the network gives no score."""


def judge_artefact(
    reference: Reference, artefact: Path, images: ParitySet, recipe: Recipe, budget: Budget, report: Report
) -> Judgement:
    """Compare `artefact`, whose card lies beside it, with `reference`. fp16 is run in true half arithmetic."""
    expected: list[Arrays] = []
    actual: list[Arrays] = []
    rungs = []
    backend: str | Backend = "onnxruntime" if recipe.precision != "fp16" else OnnxOnTorch(artefact)
    with Scorer(artefact, backend) as scorer:
        what = f"{reference.spec.name}: compare with the reference"
        for done, (image, rung) in enumerate(images):
            report(what, done, len(images))
            expected.append(reference_outputs(reference, image))
            actual.append(scorer.outputs([image]))
            rungs.append(rung)
        report(what, len(images), len(images))
        parity = replace(compare(expected, actual, scorer.card.outputs, budget), left_out=images.left_out)
    if parity.score is None:
        return Judgement(parity, expected, None)
    name = output_of("score", reference.spec.outputs)
    assert name is not None
    first, second = scores_of(expected, name), scores_of(actual, name)
    on_ladders = [i for i, rung in enumerate(rungs) if rung is not None]
    if on_ladders:
        kept = [rung for rung in rungs if rung is not None]
        parity = replace(parity, ladders=monotony(kept, first[on_ladders], second[on_ladders]))
    parity = replace(parity, srcc_interval=bootstrap(first, second))
    return Judgement(parity, expected, None if recipe.precision == "fp32" else ScoreMap.between(first, second))


def parity_set(reference: Reference, recipe: Recipe, weights: str, images: Path | None) -> ParitySet:
    """The images that an artefact of `recipe` is judged on; raises what
    :func:`fiqa_calibration.parity_set.folder_pictures` raises.

    `weights` is the kind of the weights: for a trained network all seeded images are the same noise, so it gets few of
    them. `images` is the user's folder of photos or crops. Without one a portrait is degraded, where that is
    affordable; a trained network gets it in as many framings as the seeded images leave room for.
    """
    spec = reference.spec
    fewest, most = recipe.images
    affordable = min(most, max(fewest, round(recipe.operations / spec.macs)))
    means_much = spec.task == "quality" and (weights == "seeded" or recipe.precision == "fp32")
    seeded = affordable if means_much else fewest
    left_out: tuple[str, ...] = ()
    if images is not None:
        pictures, left_out = folder_pictures(images, spec.input)
    else:
        moves = recipe.precision != "fp32" and spec.task != "landmarks"
        framings = 1 if weights == "seeded" else max(1, (affordable - seeded) // RUNGS)
        pictures = default_pictures(framings) if moves and spec.macs < LARGE else []
    size = reference.calibration_size
    if spec.task == "detection":
        pictures = [resized(squared(picture), *size) for picture in pictures]
    return ParitySet(seeded, pictures, size, DETECTED if spec.task == "detection" else ALL, left_out)

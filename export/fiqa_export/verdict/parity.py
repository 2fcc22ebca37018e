"""Compares the outputs of any artefact with those of the torch reference, and gives the verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from fiqa_calibration.monotone import Monotony
from fiqa_runtime.artefact.facts import Budget, FaceAgreement, LadderAgreement, ScoreAgreement, Verdict
from fiqa_runtime.artefact.spec import OutputSpec, output_of
from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.scoring.agreement import Agreement, agree, json_number, pearson
from numpy.typing import NDArray

from fiqa_export.models import Reference
from fiqa_export.models.inputs import reference_input
from fiqa_export.verdict.same_faces import Faces, compare_faces


@dataclass(frozen=True)
class Parity:
    """Measured agreement of an artefact with its reference."""

    images: int
    """Number of images compared."""
    budget: Budget
    """What the conversion was allowed to change."""
    max_abs: dict[str, float]
    """Largest difference, by output; infinite where a value is not finite or the shapes differ."""
    range: dict[str, float]
    """Nominal range of each bounded output, and spread over the images of each other output, by output."""
    correlation: dict[str, float]
    """Smallest Pearson correlation of the values of one image, by output other than the score; of a head with a few
    values per image, that of one value over all images. NaN where the values are constant or not finite."""
    score: Agreement | None
    """Agreement of the scores; None for a network without a score, and where a score is not finite."""
    failures: tuple[str, ...]
    """One line for each part of the budget that is missed."""
    faces: Faces | None = None
    """The faces that a trained detector finds; None for other networks, and where it finds no face."""
    srcc_interval: tuple[float, float] | None = None
    """Bootstrap 95 % interval of the scores' Spearman correlation."""
    ladders: Monotony | None = None
    """Whether degradation ladders keep their order; None where the parity set has no ladders."""
    left_out: tuple[str, ...] = ()
    """Names of the user's pictures that could not be used."""

    @property
    def passed(self) -> bool:
        """Whether the artefact is within the budget."""
        return not self.failures

    def for_card(self) -> Verdict:
        """What a card says of it: numbers that are not finite, which JSON cannot hold, are None."""
        interval = self.srcc_interval
        return Verdict(
            images=self.images,
            budget=self.budget,
            max_abs={name: json_number(d) for name, d in self.max_abs.items()},
            range=self.range,
            correlation={name: json_number(r) for name, r in self.correlation.items()},
            score=ScoreAgreement(**self.score.as_json()) if self.score else None,
            failures=self.failures,
            faces=FaceAgreement(**asdict(self.faces)) if self.faces else None,
            srcc_interval=interval if interval and all(map(math.isfinite, interval)) else None,
            ladders=LadderAgreement(**vars(self.ladders), kept=self.ladders.kept) if self.ladders else None,
            left_out=self.left_out,
            passed=self.passed,
        )


def reference_outputs(reference: Reference, image: Image) -> Arrays:
    """Outputs of the torch reference for one uint8 BGR image, float32, with a batch axis of 1."""
    outputs = reference.outputs(reference_input([image], reference.spec.input), **reference.extra_inputs(1))
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def scores_of(outputs: Sequence[Arrays], name: str) -> NDArray[np.float64]:
    """The scores (N,) among the outputs of N images, where they are called `name`."""
    return np.array([float(values[name][0, 0]) for values in outputs])


def compare(
    expected: Sequence[Arrays], actual: Sequence[Arrays], outputs: Sequence[OutputSpec], budget: Budget
) -> Parity:
    """Verdict on an artefact's outputs (`actual`) against the reference's (`expected`), image by image.

    Arrays are float32 with a batch axis of 1, under the names of `outputs`; at least one image. An output that is not
    finite or has another shape fails whatever the budget. Where `budget` asks for faces and the reference finds some,
    these are judged in place of the correlation of the heads.
    """
    max_abs, spans, correlation = {}, {}, {}
    failures: list[str] = []
    unlike: list[str] = []
    for output in outputs:
        pairs = [(e[output.name], a[output.name]) for e, a in zip(expected, actual, strict=True)]
        low, high = output.range or (min(e.min() for e, _ in pairs), max(e.max() for e, _ in pairs))
        d, span = max(_largest_difference(e, a) for e, a in pairs), float(high - low)
        max_abs[output.name], spans[output.name] = d, span
        allowed = budget.max_abs.get(output.kind)
        if not math.isfinite(d):
            wrong = sum(not math.isfinite(_largest_difference(e, a)) for e, a in pairs)
            failures.append(f"{output.name}: not finite, or of another shape, for {wrong} of {len(pairs)} images")
        elif allowed is not None and not d <= allowed * span:
            failures.append(f"{output.name}: max |d| {d:.2e} exceeds {allowed:g} of the range {span:.3g}")
        if output.kind != "score":
            correlation[output.name] = r = _least_correlation(pairs, output.kind)
            if budget.correlation and not r >= budget.correlation:
                lines = unlike if output.kind == "head" else failures
                lines.append(f"{output.name}: correlation {r:.4f} is below {budget.correlation:g}")
    faces = compare_faces(expected, actual) if budget.faces else None
    failures += faces.failures if faces is not None else unlike
    score = None
    name = output_of("score", outputs)
    if name is not None and math.isfinite(max_abs[name]):
        score = agree(scores_of(expected, name), scores_of(actual, name))
        failures += _ranking_failures(score, budget)
    return Parity(len(expected), budget, max_abs, spans, correlation, score, tuple(failures), faces)


def _largest_difference(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
    if expected.shape != actual.shape:
        return float("inf")
    difference = np.abs(expected.astype(np.float64) - actual)
    return float(np.nan_to_num(difference, nan=np.inf, posinf=np.inf).max())


def _least_correlation(pairs: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]], kind: str) -> float:
    """Smallest correlation of the values of one image; of a head with a few values per image, of one value over all
    images."""
    if kind == "head" and pairs[0][0].ndim == 2 and all(e.shape == a.shape for e, a in pairs):
        expected, actual = (np.concatenate(arrays).T for arrays in zip(*pairs, strict=True))
        return float(np.min([_correlation(e, a) for e, a in zip(expected, actual, strict=True)]))
    return float(np.min([_correlation(e, a) for e, a in pairs]))


def _correlation(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
    if expected.shape != actual.shape or not np.isfinite(actual).all():
        return math.nan
    return pearson(expected.astype(np.float64).reshape(-1), actual.astype(np.float64).reshape(-1))


def _ranking_failures(score: Agreement, budget: Budget) -> list[str]:
    """Failures of the ranking. Few images cannot resolve the budget, so one pair of neighbours may always change
    places, and one decision may flip where the budget allows flips at all."""
    lines = []
    one_swap = 12 / (score.n * (score.n**2 - 1)) if score.n > 1 else 0.0
    if not score.srcc >= min(budget.srcc, 1 - one_swap - 1e-9):
        lines.append(f"SRCC {score.srcc:.6f} is below {budget.srcc}")
    return lines + flip_failures([score], budget)


def flip_failures(scores: Sequence[Agreement], budget: Budget) -> list[str]:
    """A line where too many decisions flip over several sets of images, each with its own threshold; else an empty
    list."""
    images = sum(score.n for score in scores)
    flipped = sum(score.n * score.flips[0.10] for score in scores) / max(images, 1)
    if flipped <= (max(budget.flips, 1 / max(images, 1)) if budget.flips else 0.0):
        return []
    return [f"{flipped:.2%} of the decisions flip at 10 % rejection, allowed {budget.flips:.2%}"]

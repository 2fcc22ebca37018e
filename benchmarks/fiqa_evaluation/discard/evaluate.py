"""Every method at every starting error: curves, bands, differences, and the other two errors, as one result."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from fiqa_runtime.errors import InputError
from fiqa_runtime.system.progress import Report, silent

from fiqa_evaluation.data_set.files import Floats, Ints
from fiqa_evaluation.discard.bootstrap import FEW_PERSONS, Difference, Draws, cr_fiqa_draws, differences, edc_draws
from fiqa_evaluation.discard.comparisons import Comparisons
from fiqa_evaluation.discard.curves import LIMITS, DiscardCurve, cr_fiqa_curves, edc_curves
from fiqa_evaluation.discard.false_match import Det, FalseMatchCurve, det_curves, false_match_curves
from fiqa_evaluation.discard.start import STARTS, Start

Protocol = Literal["edc", "cr-fiqa"]
PROTOCOLS = ("edc", "cr-fiqa")
ALSO = ("fmr", "det")


@dataclass(frozen=True)
class Wanted:
    """What is computed of each method."""

    protocol: Protocol = "edc"
    starts: Sequence[Start] = STARTS
    """Starting errors of ``edc``; ``cr-fiqa`` has its own three false match rates."""
    limits: Sequence[float] = LIMITS
    resamples: int = 0
    """Draws of persons for bands and differences; 0: none."""
    seed: int = 0
    also: Collection[str] = ()
    """Any of :data:`ALSO`: false matches against discard, DET curves against discard."""

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise InputError(f"unknown protocol '{self.protocol}'; --protocol takes {' or '.join(PROTOCOLS)}")
        if unknown := [name for name in self.also if name not in ALSO]:
            raise InputError(f"unknown error '{unknown[0]}'; --also takes {' and '.join(ALSO)}, separated by commas")
        if not self.limits or not all(0 < limit <= 1 for limit in self.limits):
            raise InputError("a limit of the partial areas is outside 0 to 1; give some as in --limits 0.2,0.3")
        if self.protocol == "cr-fiqa" and (self.starts != STARTS or self.also):
            raise InputError("CR-FIQA's protocol takes its thresholds anew; leave --fmr, --fnmr and --also out")


@dataclass(frozen=True)
class Method:
    """What was found of one quality score."""

    name: str
    lower_is_better: bool
    curves: tuple[DiscardCurve, ...]
    draws: tuple[Draws, ...] = ()
    """One per curve; empty without a bootstrap."""
    false_match: tuple[FalseMatchCurve, ...] = ()
    det: tuple[Det, ...] = ()

    def as_json(self) -> list[dict[str, Any]]:
        """A row per curve, with its band."""
        rows = []
        for place, curve in enumerate(self.curves):
            row = {"name": self.name, "lower_is_better": self.lower_is_better, **curve.as_json()}
            if self.draws:
                row["low"], row["high"] = self.draws[place].band()
            if self.false_match:
                row["false_match"] = self.false_match[place].as_json()
            rows.append(row)
        return rows


@dataclass(frozen=True)
class Evaluation:
    """All methods over the same comparisons."""

    methods: tuple[Method, ...]
    differences: tuple[Difference, ...] = ()
    persons: int | None = None
    """Persons that were drawn; None without a bootstrap."""
    notes: tuple[str, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        """The parts `edc`, `det` and `differences` of a document."""
        det = [{"name": method.name, **curve.as_json()} for method in self.methods for curve in method.det]
        return {
            "edc": [row for method in self.methods for row in method.as_json()],
            "det": det,
            "differences": [difference.as_json() for difference in self.differences],
            "persons": self.persons,
        }


def evaluate(
    comparisons: Comparisons,
    identity: Ints | None,
    qualities: Mapping[str, Floats],
    lower: Collection[str] = (),
    wanted: Wanted | None = None,
    report: Report = silent,
) -> Evaluation:
    """Curves of every method of `qualities`, by name: quality (N,) of the images or templates of `comparisons`.

    Low scores are good for the methods in `lower`. `identity` (N,) is the person on each, without which there is no
    bootstrap. Raises InputError as
    :func:`fiqa_evaluation.discard.curves.edc_curves` does.
    """
    wanted = wanted or Wanted()
    curves = {name: _curves(comparisons, quality, name in lower, wanted) for name, quality in qualities.items()}
    draws: Mapping[str, tuple[Draws, ...]] = {}
    if wanted.resamples and identity is not None:
        draws = _draws(comparisons, identity, qualities, lower, wanted, report)
    methods = tuple(
        Method(
            name,
            name in lower,
            curves[name],
            draws.get(name, ()),
            _false_match(comparisons, quality, name in lower, wanted),
            det_curves(comparisons, quality, name in lower) if "det" in wanted.also else (),
        )
        for name, quality in qualities.items()
    )
    if not draws or identity is None:
        return Evaluation(methods)
    areas = {name: [curve.pauc for curve in found] for name, found in curves.items()}
    persons = int(identity.max()) + 1
    notes = (
        (f"fewer than {FEW_PERSONS} persons to draw from: the intervals are too narrow",)
        if persons < FEW_PERSONS
        else ()
    )
    return Evaluation(methods, tuple(differences(areas, draws, start_names(methods))), persons, notes)


def start_names(methods: Sequence[Method]) -> list[str]:
    """The starting error of each curve of the methods, in words."""
    return [f"FMR {curve.fmr:g}" if curve.start is None else str(curve.start) for curve in methods[0].curves]


def check_protocol(name: str) -> Protocol:
    """`name` if it is one of :data:`PROTOCOLS`; raises InputError otherwise."""
    if name not in PROTOCOLS:
        raise InputError(f"unknown protocol '{name}'; --protocol takes {' or '.join(PROTOCOLS)}")
    return cast(Protocol, name)


def _curves(comparisons: Comparisons, quality: Floats, lower: bool, wanted: Wanted) -> tuple[DiscardCurve, ...]:
    if wanted.protocol == "cr-fiqa":
        return cr_fiqa_curves(comparisons, quality, lower, wanted.limits)
    return edc_curves(comparisons, quality, lower, wanted.starts, wanted.limits)


def _draws(
    comparisons: Comparisons,
    identity: Ints,
    qualities: Mapping[str, Floats],
    lower: Collection[str],
    wanted: Wanted,
    report: Report,
) -> Mapping[str, tuple[Draws, ...]]:
    settings: dict[str, Any] = {"resamples": wanted.resamples, "seed": wanted.seed, "report": report}
    if wanted.protocol == "cr-fiqa":
        flags = {name: name in lower for name in qualities}
        return cr_fiqa_draws(comparisons, identity, qualities, wanted.limits, lower_is_better=flags, **settings)
    turned = {name: -quality if name in lower else quality for name, quality in qualities.items()}
    return edc_draws(comparisons, identity, turned, wanted.starts, wanted.limits, **settings)


def _false_match(comparisons: Comparisons, quality: Floats, lower: bool, wanted: Wanted) -> tuple[FalseMatchCurve, ...]:
    if "fmr" not in wanted.also:
        return ()
    return false_match_curves(comparisons, quality, lower, wanted.starts, wanted.limits)

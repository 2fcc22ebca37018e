"""What is in the JSON documents of ``fiqa-eval``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fiqa_evaluation.discard.bootstrap import Difference
from fiqa_evaluation.discard.start import Start
from fiqa_evaluation.distributions.compare import Distributions
from fiqa_evaluation.opinions.accuracy import Accuracy


@dataclass(frozen=True)
class Compared:
    """What the curves were made of."""

    genuine: int
    """Genuine pairs."""
    impostor: int
    images: int
    metric: str
    """`cosine` or `euclidean`."""
    bootstrap: int
    """Draws of persons; 0: none."""
    templates: int | None = None
    """Absent where pairs are of images."""
    pairs: str | None = None
    """The pair list; absent in a plan's document, as the next three."""
    embeddings: str | None = None
    protocol: str | None = None
    seed: int | None = None


@dataclass(frozen=True)
class FalseMatches:
    """The false match rate of the impostor pairs left, at the same threshold."""

    start: Start
    discard: tuple[float, ...]
    fmr: tuple[float, ...]
    auc: float
    pauc: Mapping[str, float]


@dataclass(frozen=True)
class Curve:
    """One quality score at one starting error."""

    name: str
    """The method."""
    lower_is_better: bool
    protocol: str
    fmr: float
    """False match rate aimed at, or reached where the FNMR fixed the threshold."""
    discard: tuple[float, ...]
    """Twenty discarded fractions."""
    fnmr: tuple[float | None, ...]
    """Null where no pairs of a kind are left."""
    auc: float | None
    pauc: Mapping[str, float | None]
    """Area to each limit."""
    pauc_relative: Mapping[str, float | None]
    """The same divided by the starting FNMR times the limit: 1 is no better than discarding at random."""
    pauc_above_best: Mapping[str, float | None]
    """The same less the area of a score that discards nothing but errors."""
    start: Start | None
    """Null for CR-FIQA's protocol, which takes its thresholds anew."""
    genuine: int
    impostor: int
    notes: tuple[str, ...]
    file: str | None = None
    """The quality file."""
    low: tuple[float | None, ...] | None = None
    """With a bootstrap: lower end of the 95 % interval at each fraction."""
    high: tuple[float | None, ...] | None = None
    false_match: FalseMatches | None = None
    """With `--also fmr`."""


@dataclass(frozen=True)
class DetCurve:
    """With `--also det`: error rates over all thresholds, of the pairs left after a share was discarded."""

    name: str
    discard: float
    discarded: float
    fmr: tuple[float, ...]
    fnmr: tuple[float | None, ...]
    genuine: int
    impostor: int


@dataclass(frozen=True)
class MethodDifference(Difference):
    """Partial area of one method minus that of another, over the same draws."""

    verdict: str
    """In words."""


@dataclass(frozen=True)
class Discard:
    """Error versus discard."""

    versions: Mapping[str, str]
    comparisons: Compared
    edc: tuple[Curve, ...]
    det: tuple[DetCurve, ...]
    differences: tuple[MethodDifference, ...]
    """Empty without a bootstrap."""
    persons: int | None
    """Persons that were drawn."""


@dataclass(frozen=True)
class OpinionLabels:
    """The label file, and what did not match."""

    file: str
    missing: tuple[str, ...]
    """Labels without image."""
    unlabelled: tuple[str, ...]
    """Images without label."""


@dataclass(frozen=True)
class OpinionScore:
    """One image."""

    path: str
    mos: float
    engines: Mapping[str, float]
    """Score by engine."""


@dataclass(frozen=True)
class OpinionAccount:
    """What became of the labelled images."""

    given: int
    scored: int
    refused: int


@dataclass(frozen=True)
class RefusedImage:
    """A labelled image that could not be scored."""

    path: str
    error: str


@dataclass(frozen=True)
class OpinionFit(Accuracy):
    """How well scores fit people's opinions."""

    column: str | None
    """What the groups are by."""
    groups: Mapping[str, Accuracy]
    """By value of the column."""
    labels: OpinionLabels
    accounting: OpinionAccount
    refused: tuple[RefusedImage, ...]
    scores: tuple[OpinionScore, ...]


@dataclass(frozen=True)
class Opinions:
    """Scores against people's opinions."""

    versions: Mapping[str, str]
    mos: OpinionFit


@dataclass(frozen=True)
class SetsCompared:
    """How the qualities of data sets differ."""

    versions: Mapping[str, str]
    distributions: tuple[Distributions, ...]


@dataclass(frozen=True)
class SetCounts:
    """What a prepared set holds."""

    images: int
    genuine: int
    impostor: int
    templates: int


@dataclass(frozen=True)
class Missing:
    """Images that lists name and that were not there."""

    count: int
    images: tuple[str, ...]
    """The first thousand."""


@dataclass(frozen=True)
class RefusedImages:
    """Images that could not be used."""

    count: int
    images: Mapping[str, str]
    """Why, by name; the first thousand."""


@dataclass(frozen=True)
class SetManifest:
    """Where a prepared set came from, and what is in it."""

    schema: str
    name: str
    source: str
    kind: str
    """`insightface-bin`, `xqlfw`, `persons`, `csv` or `ijb-c`."""
    colour: str
    """`ordinary`, or `exchanged` as CR-FIQA's scripts save."""
    mark: Mapping[str, Any]
    """What tells this preparation from another."""
    counts: SetCounts
    pairs_left_out: int
    missing: Missing
    refused: RefusedImages
    images: Mapping[str, str]
    """SHA-256 of each file by name."""


@dataclass(frozen=True)
class PrecisionCost:
    """An engine of reduced precision against the fp32 one of its network."""

    set: str
    recogniser: str
    low_precision: str
    reference: str
    start: str
    limit: float
    difference: float
    low: float
    high: float
    moved: bool
    """Whether the interval leaves 0 out."""
    fnmr_change: float


@dataclass(frozen=True)
class DetectorDifference:
    """Scores of the crops of two detectors."""

    set: str
    method: str
    first: str
    second: str
    images: int
    srcc: float | None
    mean_difference: float
    largest_difference: float


@dataclass(frozen=True)
class ShownFaces:
    """The worst and the best faces of one set by one method."""

    set: str
    method: str
    worst: tuple[Mapping[str, Any], ...]
    """`image`, `score`, and `picture` as a data address."""
    best: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class PlanCurves:
    """One set with one recogniser."""

    title: str
    set: str
    recogniser: str
    comparisons: Compared
    edc: tuple[Curve, ...]
    det: tuple[DetCurve, ...]
    differences: tuple[MethodDifference, ...]
    persons: int | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class PlanOpinions(OpinionFit):
    """One `[[opinions]]`."""

    title: str = ""


@dataclass(frozen=True)
class PlanResults:
    """Everything that a plan found."""

    title: str
    machine: Mapping[str, Any]
    versions: Mapping[str, str]
    plan: Mapping[str, Any]
    """The plan with its defaults."""
    discard: tuple[PlanCurves, ...]
    distributions: tuple[Distributions, ...]
    opinions: tuple[PlanOpinions, ...]
    faces: tuple[ShownFaces, ...]
    precision: tuple[PrecisionCost, ...]
    detectors: tuple[DetectorDifference, ...]
    overview: tuple[Mapping[str, str], ...]
    """The table of all combinations, as text."""
    warnings: tuple[str, ...]
    could_not: tuple[str, ...]

"""What is in the JSON documents of ``fiqa-score``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fiqa_runtime.artefact.spec import Precision
from fiqa_runtime.diagnosis.verdict import Diagnosis
from fiqa_runtime.scoring.choice import Choice
from fiqa_runtime.tuning.setup import Decision


@dataclass(frozen=True)
class ScoredFace:
    """One face of a photo."""

    quality: float
    """Higher is better; the scale is the network's."""
    confidence: float
    """The detector's score, 0 to 1."""
    box: tuple[float, float, float, float]
    """x, y of the top left corner, width, height, in pixels of the photo."""
    landmarks: tuple[tuple[float, float], ...]
    """x, y of right eye, left eye, nose tip, right and left mouth corner of the subject."""
    accepted: bool | None = None
    """Whether the quality reaches the threshold; missing without one."""


@dataclass(frozen=True)
class ScoredImage:
    """One image: a photo has `faces`, a ready crop has `quality`, an image that could not be scored has `error`."""

    path: str
    width: int | None = None
    """Pixels."""
    height: int | None = None
    """Pixels."""
    faces: tuple[ScoredFace, ...] | None = None
    """Highest confidence first; empty where there is no face."""
    left_out: str | None = None
    """Why some faces are missing."""
    quality: float | None = None
    """Of a ready crop."""
    accepted: bool | None = None
    """Of a ready crop, where a threshold was given."""
    warnings: tuple[str, ...] | None = None
    """Why the score is to be doubted."""
    error: str | None = None
    """Why there is no score."""


@dataclass(frozen=True)
class ScoreLine:
    """One line of `--jsonl`: one image, whatever became of it."""

    image: str
    outcome: Literal["scored", "no face", "refused", "passed over"]
    error: str | None
    """Why there is no score, or why some faces are missing."""
    faces: tuple[ScoredFace, ...] | None = None
    """Of a photo, highest confidence first."""
    quality: float | None = None
    """Of a ready crop."""


@dataclass(frozen=True)
class PassedOver:
    """A file in a folder that was not read."""

    path: str
    reason: str


@dataclass(frozen=True)
class Accounting:
    """What became of every image: given = scored + without a face + refused."""

    given: int
    scored: int
    without_face: int
    refused: int
    passed_over: tuple[PassedOver, ...]
    """Files of other kinds in the folders that were named."""


@dataclass(frozen=True)
class Scores:
    """Scores of photos or of ready crops."""

    engine: str
    """The artefact."""
    sha256: str
    """Of the artefact's file."""
    model: str
    precision: Precision
    weights: str
    """Where they come from, in words."""
    licence: str
    backend: Mapping[str, str]
    """Name, version, device and arithmetic."""
    higher_is_better: Literal[True]
    aligned: bool
    """Whether the images were ready crops."""
    accounting: Accounting
    images: tuple[ScoredImage, ...]
    """In the order of the files."""
    detector: str | None = None
    """What found the faces; missing for ready crops, as the next five are."""
    preset: str | None = None
    """How MTCNN was used; missing for others."""
    detector_files: tuple[str, ...] | None = None
    """MTCNN's three artefacts."""
    smallest_face: float | None = None
    """MTCNN: pixels."""
    longest_side: int | None = None
    """Pixels to which photos were shrunk for detection; null: they were not."""
    align: str | None = None
    """How faces were brought to the template; missing for ready crops."""
    min_confidence: float | None = None
    """Detections below it were ignored."""
    landmarks: str | None = None
    """DSL-FIQA: where landmarks came from."""
    landmarkers: tuple[str, ...] | None = None
    """DSL-FIQA on photos: the two files that found the landmarks."""
    framing: str | None = None
    """DSL-FIQA on photos: how the portrait was cut."""
    margin: float | None = None
    """DSL-FIQA on photos: the portrait's margin, per cent of the face box."""
    fp32_threshold: float | None = None
    """As it was given."""
    threshold: float | None = None
    """The artefact's own, as it was given or carried over."""


@dataclass(frozen=True)
class SelfTest:
    """The card's canaries on this device."""

    engine: str
    """The artefact."""
    sha256: str
    """Of the artefact's file."""
    passed: bool
    images: int
    """Canaries that were scored."""
    max_abs: Mapping[str, float | None]
    """By output: largest difference from the card; null where a value was not finite."""


@dataclass(frozen=True)
class Explanation(Choice):
    """Which backend runs an artefact here, and why."""

    engine: str = ""
    """The artefact."""
    sha256: str = ""
    """Of the artefact's file."""
    photos: Decision | None = None
    """With photos: which way they are scored, and what was measured."""
    devices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By device and by backend that serves it: what is lacking here, and what to do; empty where nothing is."""


@dataclass(frozen=True)
class DiagnosedScores(Diagnosis):
    """Which mistake explains that scores from elsewhere differ."""

    engine: str = ""
    """The artefact."""
    sha256: str = ""
    """Of the artefact's file."""
    model: str = ""
    """Its network."""
    reference: str = ""
    """File with the other scores."""
    backend: Mapping[str, str] = field(default_factory=dict)
    """Name, version, device and arithmetic."""
    remarks: tuple[str, ...] = ()
    """What was left out and what could not be tried."""

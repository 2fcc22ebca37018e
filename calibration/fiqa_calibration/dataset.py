"""Chooses the images to calibrate with: spread over the quality range of the fp32 network, without near-copies.

chosen = choose(folder_candidates(Path("photos"), Cropper(spec.input)), spec.input, score)
ranging, judging = chosen.halves()
for image in ranging.images(): ...
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
from fiqa_runtime.artefact.spec import InputSpec
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.ladder import KINDS, degrade
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import rng
from fiqa_runtime.system.files import write_text
from fiqa_runtime.system.progress import Report, silent
from fiqa_runtime.system.spread import evenly
from numpy.typing import NDArray

from fiqa_calibration.candidates import Candidate, FacelessError, fits, wanted
from fiqa_calibration.duplicates import Thumbnails

MINIMUM = 32
"""Fewest images of a set: fewer say too little about the range of an activation."""
COUNT = 256
"""Images chosen where nobody asks for another number."""
LIMIT = 10_000
"""Most candidates that are read; from a larger folder evenly spaced ones are taken. This bounds time and memory."""
BATCH = 16
"""Images held in memory and scored at once."""
BANDS = 10
"""Number of equally wide parts of the quality range over which the images are spread."""
NARROW = 0.5
"""Share of the quality range below which a set is called narrow."""
PROBES = 4
"""Images of the set that are degraded to learn how far scores can fall."""
VERSION = 1
"""Version of the format of the manifest."""
REASONS = {
    "unreadable": "unreadable",
    "misfits": "of another size",
    "faceless": "of another size and without a face",
    "duplicates": "near-copies of others",
}
"""Why candidates were left out, in words, by field of :class:`LeftOut`."""

Score = Callable[[Sequence[Image]], NDArray[np.float32]]
"""Up to 16 uint8 BGR images -> float32 (N,)."""


@dataclass(frozen=True)
class Chosen:
    """One image of a calibration set."""

    candidate: Candidate
    """Where it comes from."""
    sha256: str
    """Hex SHA-256 of its file, or of its pixels where it does not come from a file."""
    score: float | None
    """The score that the fp32 network gives it; None for a network without a score."""


@dataclass(frozen=True)
class LeftOut:
    """Names of the candidates that cannot be used."""

    unreadable: list[str] = field(default_factory=list)
    """Damaged files, and files that are not images."""
    misfits: list[str] = field(default_factory=list)
    """Images of a size that the network cannot use."""
    faceless: list[str] = field(default_factory=list)
    """Photos in which no face was found."""
    duplicates: list[str] = field(default_factory=list)
    """Near-copies of an earlier candidate."""


@dataclass(frozen=True)
class CalibrationSet:
    """The chosen images, from the lowest score to the highest, and what was left out."""

    chosen: tuple[Chosen, ...]
    """The images. :func:`choose` gives at least 32; halves of a set and thinned sets have fewer."""
    found: int
    """Number of candidates that the set was chosen from."""
    left_out: LeftOut
    """The candidates that cannot be used."""
    coverage: float | None
    """Share (0..1) of the quality range that the set covers, see :func:`choose`; None for a network without a score."""

    def __len__(self) -> int:
        return len(self.chosen)

    def __repr__(self) -> str:
        return f"<CalibrationSet {len(self)} of {self.found} images, {self.sha256[:12]}>"

    def images(self) -> Iterator[Image]:
        """uint8 BGR (H, W, 3), read again one at a time; raises InputError where an image is gone or has changed."""
        for item in self.chosen:
            if _digest(item.candidate) != item.sha256:
                raise InputError(f"{item.candidate.name} changed during calibration; start again")
            yield item.candidate.read()

    def halves(self) -> tuple[CalibrationSet, CalibrationSet]:
        """The images at even and those at odd positions: two sets over the same quality range, to choose with one and
        to judge with the other."""
        return replace(self, chosen=self.chosen[::2]), replace(self, chosen=self.chosen[1::2])

    def save(self, path: Path) -> None:
        """Write the manifest to `path` as JSON; raises InputError where that cannot be done.

        It names the images with their SHA-256 and score, and the candidates left out by reason; it holds no pictures.
        The SHA-256 of the set is :attr:`sha256`.
        """
        manifest = {
            "version": VERSION,
            "sha256": self.sha256,
            "found": self.found,
            "coverage": self.coverage,
            "warning": self.warning,
            "left_out": asdict(self.left_out),
            "images": [{"name": i.candidate.name, "sha256": i.sha256, "score": i.score} for i in self.chosen],
        }
        write_text(path, json.dumps(manifest, indent=1) + "\n")

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of the images' sorted hashes, one per line: the same for the same images under other names."""
        lines = "".join(f"{sha256}\n" for sha256 in sorted(item.sha256 for item in self.chosen))
        return hashlib.sha256(lines.encode()).hexdigest()

    @property
    def warning(self) -> str | None:
        """One line for people where the set covers too small a part of the quality range, else None."""
        if self.coverage is None or self.coverage >= NARROW:
            return None
        return (
            f"the calibration images cover {self.coverage:.0%} of the quality range that their own degraded copies "
            "reach; add images of other quality, or activations beyond the calibrated ranges will be cut off"
        )


def choose(
    candidates: Sequence[Candidate],
    spec: InputSpec,
    score: Score | None,
    count: int = COUNT,
    report: Report = silent,
) -> CalibrationSet:
    """Up to `count` of `candidates`, spread over the range of the fp32 network's scores.

    Files that cannot be read, photos without a face, images that the network of `spec` cannot use and near-copies of
    earlier ones (:class:`Thumbnails`) are left out and named. The range from the lowest to the highest score of the
    rest is cut into BANDS bands of equal width. Each band gives the same number of images; where a band has fewer, it
    gives them all and the others give more. The images with the lowest and the highest score are included. Without
    `score` (for a network that gives none) evenly spaced images are taken.

    The set's `coverage` is the width of the middle 90 % of its scores, divided by the range of the scores of its images
    and of copies of a few of them, which are degraded in every way as far as the ladder goes.

    Raises InputError where fewer than 32 images are left or asked for, or a score is not finite.
    """
    if count < MINIMUM:
        raise InputError(f"{count} calibration images are too few to find ranges; ask for at least {MINIMUM}")
    usable, scores, left_out = _sift(candidates, spec, score, report)
    if len(usable) < MINIMUM:
        raise InputError(_too_few(len(usable), len(candidates), left_out, spec))
    if score is None:
        chosen = tuple(Chosen(usable[i], _digest(usable[i]), None) for i in evenly(count, len(usable)))
        return CalibrationSet(chosen, len(candidates), left_out, None)
    chosen = tuple(Chosen(usable[i], _digest(usable[i]), scores[i]) for i in _spread(np.array(scores), count))
    return CalibrationSet(chosen, len(candidates), left_out, _coverage(chosen, score, report))


def _spread(scores: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Positions of up to `count` of `scores` (N,), from the lowest to the highest, as :func:`choose` says."""
    ranked = np.argsort(scores, kind="stable")
    edges = np.linspace(scores.min(), scores.max(), BANDS + 1)[1:-1]
    bands = np.split(ranked, np.searchsorted(scores[ranked], edges))
    sizes = np.array([len(band) for band in bands])
    taken = np.zeros(BANDS, np.intp)
    for _ in range(min(count, len(scores))):
        taken[np.where(taken < sizes, taken, len(scores)).argmin()] += 1
    return np.concatenate([band[evenly(n, len(band))] for n, band in zip(taken.tolist(), bands, strict=True)])


def _sift(
    candidates: Sequence[Candidate], spec: InputSpec, score: Score | None, report: Report
) -> tuple[list[Candidate], list[float], LeftOut]:
    """The candidates that can be used, their scores (an empty list without `score`), and the others."""
    looked_at = [candidates[i] for i in evenly(LIMIT, len(candidates))]
    thumbnails = Thumbnails(len(looked_at))
    usable: list[Candidate] = []
    scores: list[float] = []
    left_out = LeftOut()
    for start in range(0, len(looked_at), BATCH):
        images: list[Image] = []
        for candidate in looked_at[start : start + BATCH]:
            image = _admit(candidate, spec, thumbnails, left_out)
            if image is not None:
                usable.append(candidate)
                images.append(image)
        if score is not None and images:
            scores += _scores(score, images)
        report("choose calibration images", min(start + BATCH, len(looked_at)), len(looked_at))
    return usable, scores, left_out


def _admit(candidate: Candidate, spec: InputSpec, thumbnails: Thumbnails, left_out: LeftOut) -> Image | None:
    try:
        image = candidate.read()
    except FacelessError:
        left_out.faceless.append(candidate.name)
        return None
    except InputError:
        left_out.unreadable.append(candidate.name)
        return None
    if not fits(image, spec):
        left_out.misfits.append(candidate.name)
        return None
    if not thumbnails.add(image):
        left_out.duplicates.append(candidate.name)
        return None
    return image


def _scores(score: Score, images: Sequence[Image]) -> list[float]:
    values = np.asarray(score(images), np.float64)
    if not np.isfinite(values).all():
        raise InputError("the network gives a calibration image no finite score; use other weights")
    return [float(value) for value in values]


def _coverage(chosen: Sequence[Chosen], score: Score, report: Report) -> float:
    own = [item.score for item in chosen if item.score is not None]
    reached = list(own)
    probes = evenly(PROBES + 2, len(chosen))[1:-1]
    for done, i in enumerate(probes):
        report("compare with degraded copies", done, len(probes))
        image = chosen[i].candidate.read()
        stream = rng(f"coverage:{chosen[i].sha256}")
        reached += _scores(score, [degrade(image, kind, 1.0, stream)[0] for kind in KINDS])
    report("compare with degraded copies", len(probes), len(probes))
    low, high = np.percentile(own, (5, 95))
    span = float(np.ptp(reached))
    return float(high - low) / span if span else 0.0


def _too_few(usable: int, found: int, left_out: LeftOut, spec: InputSpec) -> str:
    reasons = asdict(left_out).items()
    told = ", ".join(f"{len(names)} {REASONS[reason]} ({names[0]})" for reason, names in reasons if names)
    why = f"; left out: {told}" if told else ""
    return (
        f"{usable} of {found} images can calibrate this network{why}; give at least {MINIMUM} different ones, "
        f"better {COUNT}: {wanted(spec)}"
    )


def _digest(candidate: Candidate) -> str:
    try:
        return candidate.digest()
    except OSError as error:
        raise InputError(f"{candidate.name} is gone or unreadable; start again") from error

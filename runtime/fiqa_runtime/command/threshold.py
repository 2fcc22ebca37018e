"""A threshold that rejects a chosen share of one's own photos: found, told, kept beside the artefact, used again."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from fiqa_runtime.artefact.score_map import check_threshold
from fiqa_runtime.command.accounting import Account
from fiqa_runtime.command.results import Stream
from fiqa_runtime.errors import InputError
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.documents import parse_json
from fiqa_runtime.system.files import sha256_of, write_text
from fiqa_runtime.system.schema import from_plain

STORED = "stored"
"""What ``--threshold`` takes for the threshold beside the artefact."""
VERSION = 1
RESAMPLES = 1000


@dataclass(frozen=True)
class StoredThreshold:
    """What the file beside an artefact holds."""

    threshold: float
    """Smallest accepted quality, on the artefact's own scale."""
    interval: tuple[float, float]
    """Where the threshold lies in 95 % of resamples of the same faces."""
    rejected: float
    """Share of the faces that it rejects, 0..1."""
    faces: int
    """Number of faces that it was found on."""
    sha256: str
    """Of the artefact."""
    written: str
    """When, as ISO 8601."""


def threshold_path(artefact: Path) -> Path:
    """Where the threshold of `artefact` is kept."""
    return artefact.with_name(f"{artefact.name}.threshold.json")


def read_share(text: str) -> float:
    """``5%`` or ``0.05`` as 0.05; raises InputError for what is not a share between 0 and 1."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(%?)\s*", text)
    share = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < share < 1:
        raise InputError(f"--reject {text} is not a share between 0 and 1; write it as 5% or 0.05")
    return share


def read_threshold(text: str, artefact: Path) -> float:
    """The number that `text` is, or the threshold that is kept for `artefact`; raises InputError for anything else."""
    if text == STORED:
        return stored_threshold(artefact)
    try:
        threshold = float(text)
    except ValueError as error:
        raise InputError(f"--threshold {text} is not a number; give one, or {STORED}") from error
    check_threshold(threshold)
    return threshold


def find_threshold(scores: Sequence[float], share: float) -> float:
    """The smallest accepted score where the lowest `share` of `scores` are rejected, at most that many.

    Raises InputError where `share` of the scores is less than one.
    """
    rejected = int(share * len(scores) + 1e-9)
    if not rejected:
        least = -int(-1 // share)
        raise InputError(f"{len(scores)} faces are too few to reject {share:.3g} of them; give at least {least}")
    return float(np.sort(scores)[rejected])


def calibrate_threshold(scorer: Scorer, stream: Stream, account: Account, share: float) -> None:
    """``--calibrate-threshold``: find the threshold on the results of `stream`, print it and keep it.

    Raises InputError where there are too few faces.
    """
    scores: list[float] = []
    for result, _ in stream:
        account.add(result)
        faces = result.faces or ()
        scores += [result.quality] if result.quality is not None else [face.quality for face in faces]
    threshold = find_threshold(scores, share)
    draws = np.random.default_rng(0).integers(0, len(scores), (RESAMPLES, len(scores)))
    found = [find_threshold(np.asarray(scores)[draw].tolist(), share) for draw in draws]
    low, high = (float(value) for value in np.percentile(found, (2.5, 97.5)))
    rejected = float(np.mean(np.asarray(scores) < threshold))
    kept = StoredThreshold(
        *(threshold, (low, high), rejected, len(scores), sha256_of(scorer.path)),
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    path = threshold_path(scorer.path)
    write_text(path, json.dumps({"fiqa_threshold": VERSION, **asdict(kept)}, indent=1) + "\n")
    sys.stdout.write(
        f"{threshold:.4f} rejects {rejected:.1%} of {len(scores)} faces (95 % of resamples: {low:.4f} to {high:.4f})\n"
        f"kept in {path}; fiqa-score --threshold {STORED} uses it\n"
    )


def stored_threshold(artefact: Path) -> float:
    """The threshold that is kept for `artefact`; raises InputError where there is none, or one of another file."""
    path = threshold_path(artefact)
    if not path.is_file():
        raise InputError(f"no threshold is kept for {artefact.name}; find one with --calibrate-threshold --reject 5%")
    try:
        data = dict(parse_json(path.read_bytes()))
        if data.pop("fiqa_threshold", None) != VERSION:
            raise ValueError("it is of another version")
        kept = from_plain(StoredThreshold, data)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}); delete it and calibrate again") from error
    if kept.sha256 != sha256_of(artefact):
        raise InputError(f"{path} is of another artefact than {artefact.name}; calibrate again")
    return kept.threshold

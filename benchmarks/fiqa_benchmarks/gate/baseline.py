"""The baseline of the gate: a contender in the document of an earlier ``fiqa-bench --json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.system.documents import parse_json, read_text
from fiqa_runtime.system.files import sha256_of

from fiqa_benchmarks.speed.bench import NETWORK, image_id


@dataclass(frozen=True)
class Baseline:
    """One engine as it was measured in an earlier run."""

    path: Path
    """The document."""
    name: str
    model: str
    engine: str
    """Path of the artefact in that run."""
    files: Mapping[str, str]
    """SHA-256 of its files by name."""
    file_bytes: int
    scores: Mapping[str, float]
    """Scores by :func:`fiqa_benchmarks.speed.bench.image_id`."""
    medians_ms: Mapping[int, float]
    """Median time of the bare network call, by batch size."""
    backend: Mapping[str, str]
    cpu: str
    cores: float
    threads: int | None
    images: str
    """Where its images came from, for people."""

    def check_same_task(self, model: str, crops: list[Image]) -> None:
        """Raise InputError unless a run of `model` on `crops` (uint8 BGR) can be compared with this one."""
        if model != self.model:
            raise InputError(f"{self.path} holds scores of {self.model}, not of {model}; scores of two networks differ")
        ids = set(map(image_id, crops))
        if ids != set(self.scores):
            raise InputError(
                f"{self.path} holds scores of {len(self.scores)} images ({self.images}), {len(ids & set(self.scores))} "
                f"of them among the {len(ids)} here; measure both with the same --images and --batch"
            )

    def is_file_of(self, files: Mapping[str, str]) -> bool:
        """Whether `files` (SHA-256 by name) have the same contents; the names do not matter."""
        return sorted(files.values()) == sorted(self.files.values())

    def find_engine(self) -> Path | None:
        """The path of the artefact itself where it still lies, unchanged, at its old path or beside the document; else
        None."""
        recorded = Path(self.engine)
        for path in (recorded, self.path.parent / recorded.name):
            if path.is_file() and sha256_of(path) in self.files.values():
                return path
        return None


def read_baseline(path: Path, engine: str) -> Baseline:
    """The contender named `engine` of the document `path`, or its first one where none has that name.

    Raises InputError where the file is not such a document, or where that contender failed, has no score or is a peer.
    """
    try:
        document = parse_json(read_text(path))
        entries = document["contenders"]
        entry = next((entry for entry in entries if entry["name"] == engine), entries[0])
        return _parsed(path, document, entry)
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}; make it with fiqa-bench --engine OLD --json"
        ) from error
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is not a document with scores of an engine ({type(error).__name__}: {error}); "
            "make it again with fiqa-bench --engine OLD --json"
        ) from error


def _parsed(path: Path, document: dict[str, Any], entry: dict[str, Any]) -> Baseline:
    settings, machine = document["settings"], document["machine"]
    medians = {int(size): float(found[NETWORK]["median_ms"]) for size, found in entry["batches"].items()}
    if entry["file_bytes"] <= 0 or min(medians.values()) <= 0:
        raise ValueError("a size or time is not positive")
    scores = {image: float(score) for image, score in entry["scores"].items()}
    if not all(map(math.isfinite, (*medians.values(), *scores.values()))):
        raise ValueError("a time or score is not a finite number")
    return Baseline(
        path=path,
        name=entry["name"],
        model=entry["model"],
        engine=entry["engine"],
        files=dict(entry["files"]),
        file_bytes=int(entry["file_bytes"]),
        scores=scores,
        medians_ms=medians,
        backend=dict(entry["backend"]),
        cpu=machine["cpu"],
        cores=machine["usable_cores"],
        threads=settings["threads"],
        images=str(settings["images"]["source"]),
    )

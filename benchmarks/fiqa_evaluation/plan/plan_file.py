"""The TOML file of a plan. Paths in it are relative to it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.system.documents import read_text
from fiqa_runtime.system.schema import check_bounds, from_plain

from fiqa_evaluation.discard.curves import LIMITS
from fiqa_evaluation.discard.start import FMRS


@dataclass(frozen=True)
class SetTable:
    """One `[[sets]]`: a published data set, or the folder of a prepared one."""

    name: str
    """What the set is called, without blanks and slashes."""
    source: str | None = None
    """What ``fiqa-eval prepare`` takes."""
    prepared: str | None = None
    """Folder of a prepared set, in place of a source."""
    pairs: str | None = None
    """List of pairs of the source."""
    impostor_share: float = 1.0
    """Share of the impostor pairs where all pairs are made."""
    seed: int = 0
    """Seed of that draw."""
    detectors: tuple[str, ...] = ()
    """The source holds photos, which each of these detectors prepares; several are set against each other."""
    preset: str | None = None
    """How MTCNN is used."""
    colour_as_published: bool = False
    """A prepared folder without manifest has red and blue exchanged."""

    def __post_init__(self) -> None:
        if (self.source is None) == (self.prepared is None):
            raise ValueError(f"the set {self.name!r} needs one of source and prepared")
        if self.prepared is not None and (self.detectors or self.pairs or self.preset):
            raise ValueError(f"the set {self.name!r} is prepared already; leave detectors, preset and pairs out")


@dataclass(frozen=True)
class RecogniserTable:
    """One `[[recognisers]]`."""

    name: str
    """What it is called."""
    network: str
    """What ``fiqa-eval embed --recogniser`` takes."""
    preset: str | None = None
    """How an ONNX file without card is fed."""
    flip: bool = True
    """Whether the embedding of the mirror image stands behind that of the crop."""


@dataclass(frozen=True)
class QualityTable:
    """One `[[qualities]]`: an engine."""

    engine: str
    """An artefact; a bare name is also looked for in ``engines/``."""
    name: str | None = None
    """What it is called; by default as its file, without suffix."""
    lower_is_better: bool = False


@dataclass(frozen=True)
class DiscardTable:
    """`[discard]`."""

    protocol: Literal["edc", "cr-fiqa"] = "edc"
    metric: Literal["cosine", "euclidean"] = "cosine"
    fmr: tuple[float, ...] = FMRS
    """False match rates that fix the threshold."""
    fnmr: tuple[float, ...] = ()
    """False non-match rates that fix it."""
    limits: tuple[float, ...] = LIMITS
    """Discard fractions at which partial areas end."""
    bootstrap: int = 1000
    """Draws of persons; 0: none."""
    seed: int = 0
    also: tuple[str, ...] = ()
    """Any of fmr and det."""

    def __post_init__(self) -> None:
        check_bounds("bootstrap", self.bootstrap, 0, 100_000)
        check_bounds("seed", self.seed, 0, 2**32 - 1)


@dataclass(frozen=True)
class OpinionTable:
    """One `[[opinions]]`."""

    name: str
    labels: str
    """What ``fiqa-eval opinions`` takes."""
    images: str | None = None
    by: str | None = None
    """A column whose values are also compared apart."""
    groups: str | None = None
    """CSV with image and that column; by default the labels' own."""
    range: tuple[float, float] | None = None
    """Opinion scores outside of it are refused."""
    bootstrap: int = 1000
    """Draws of images for the intervals."""

    def __post_init__(self) -> None:
        check_bounds("bootstrap", self.bootstrap, 10, 100_000)


@dataclass(frozen=True)
class RunTable:
    """`[run]`: how networks are run."""

    backend: str = "auto"
    device: str | None = None
    """What runs them, as for `fiqa-score --device`."""
    cpu_precision: Literal["exact", "fast"] = "exact"
    threads: int | None = None
    batch: int | None = None
    """Most crops at once in recognisers."""

    def __post_init__(self) -> None:
        check_bounds("threads", self.threads, 1, 4096)
        check_bounds("batch", self.batch, 1, 4096)


@dataclass(frozen=True)
class Plan:
    """The whole file."""

    title: str
    """Title of the page."""
    qualities: tuple[QualityTable, ...]
    sets: tuple[SetTable, ...] = ()
    recognisers: tuple[RecogniserTable, ...] = ()
    opinions: tuple[OpinionTable, ...] = ()
    discard: DiscardTable = field(default_factory=DiscardTable)
    run: RunTable = field(default_factory=RunTable)
    notes: tuple[str, ...] = ()
    """Warnings of your own, for the top of the page."""
    could_not: tuple[str, ...] = ()
    """What could not be reproduced, for the page."""

    def __post_init__(self) -> None:
        if not self.qualities:
            raise ValueError("qualities need at least one entry")
        if not self.sets and not self.opinions:
            raise ValueError("sets or opinions need at least one entry")
        for kind in ("sets", "recognisers", "opinions"):
            names = [table.name for table in getattr(self, kind)]
            wrong = [name for name in names if not name or len(name.split()) != 1 or "/" in name or "\\" in name]
            if wrong:
                raise ValueError(f"{kind} has the name {wrong[0]!r}; write one without blanks and slashes")
            if len(set(names)) < len(names):
                raise ValueError(f"two of {kind} are called {max(names, key=names.count)!r}; rename one")


def read_plan(path: Path) -> Plan:
    """The plan in the TOML file `path`; raises InputError where it cannot be read or does not keep to the schema."""
    try:
        return from_plain(Plan, parsed(path))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: {error}; correct the line") from error


def parsed(path: Path) -> Mapping[str, Any]:
    """The tables of a TOML file."""
    try:
        toml = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    except ImportError as error:
        raise DependencyError(f"reading {path} needs tomli on Python 3.10; pip install tomli") from error
    try:
        return dict(toml.loads(read_text(path)))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the spelling") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}; correct the line") from error

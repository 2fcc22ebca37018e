"""The card of an artefact: what to feed it, what comes out, where it came from, how far it is from the reference.

A card stands as JSON beside the artefact (``ediffiqa-t.fp32.onnx.json``) and, in ONNX files, also in
``metadata_props`` under the key ``fiqa_card``. The runtime knows no model by name: it reads the card.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args

from fiqa_runtime.artefact.score_map import ScoreMap
from fiqa_runtime.artefact.spec import Colour, InputSpec, OutputSpec, input_from_json, output_from_json
from fiqa_runtime.artefact.zoo import FOREIGN_ARTEFACTS
from fiqa_runtime.errors import ArtefactError, CardError
from fiqa_runtime.onnx_bytes.metadata import read_metadata
from fiqa_runtime.system.files import sha256_file, write_text

VERSION = 1
METADATA_KEY = "fiqa_card"


@dataclass(frozen=True)
class Canary:
    """Reference values of one seeded image, so that any device can check itself without torch."""

    index: int
    """Arguments of :func:`fiqa_runtime.images.seeded.seeded_image`."""
    height: int
    width: int
    seed: int
    values: Mapping[str, tuple[float, ...]]
    """By output name: the flattened output at :func:`fiqa_runtime.scoring.canaries.probe` positions, from torch
    float32."""


@dataclass(frozen=True)
class Card:
    """Everything the runtime has to know about one artefact."""

    model: str
    """Name in the zoo."""
    precision: str
    """`fp32`, `fp16` or `int8`."""
    format: Literal["onnx", "plan"]
    """What the file is."""
    input: InputSpec
    """Preprocessing."""
    outputs: tuple[OutputSpec, ...]
    """Graph outputs."""
    licence: str
    """Licence of the weights."""
    source: str
    """Paper and repository."""
    max_batch: int
    """Largest batch to send at once."""
    notes: tuple[str, ...] = ()
    """What a user must know and would not guess."""
    weights: Mapping[str, Any] = field(default_factory=dict)
    """Where the weights came from: kind, description, SHA-256 by file, seed."""
    parity: Mapping[str, Any] = field(default_factory=dict)
    """Verdict against the torch reference; empty for artefacts of others."""
    canaries: tuple[Canary, ...] = ()
    """Reference values for the self-test."""
    canary_tolerance: Mapping[str, float] = field(default_factory=dict)
    """By output name: largest absolute difference that still passes the self-test."""
    conversion: Mapping[str, Any] = field(default_factory=dict)
    """How a reduced precision was reached: nodes kept in float32 with the reason of each, and more; empty for fp32."""
    score_map: ScoreMap | None = None
    """From float32 scores to this artefact's, for thresholds; None for fp32 and for networks without a score."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Packages that made the artefact."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every file of the artefact by name; the copy inside an ONNX file lists its data file only."""
    plan: Mapping[str, Any] = field(default_factory=dict)
    """What a TensorRT plan was built by and for, read by :mod:`fiqa_runtime.backends.tensorrt.plan_facts`; empty for
    ONNX.

    `flavour`: `tensorrt` or `tensorrt_rtx`; `version`: that package's `__version__`; `gpu`: its name,
    `compute_capability`: like `8.7`, and `driver`: all three null for a TensorRT-RTX plan built for any GPU;
    `profile`: by input name {`min`, `opt`, `max`: full shape}; `flags`: `tf32`, `version_compatible` and
    `hardware_compatible` true or false, `dla` core or null, `workspace` in bytes and `optimisation` level or null for
    TensorRT's own; `layers`: of the network before fusion; `onnx_sha256`: of the ONNX file it was built from.
    """

    def __repr__(self) -> str:
        return f"<Card {self.model} {self.precision} {self.format}, weights: {self.weights.get('description', '?')}>"

    def to_json(self) -> str:
        """The card as a JSON document."""
        return json.dumps({"fiqa_card": VERSION, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Card:
        """Parse a card; `where` names it in errors. Raises CardError where it is damaged or of a newer version."""
        try:
            data = json.loads(text)
            version = data["fiqa_card"]
        except (ValueError, TypeError, KeyError) as error:
            raise CardError(f"{where} is not a card; export the artefact again with fiqa-export") from error
        if version != VERSION:
            raise CardError(
                f"{where} is a version {version} card, this fiqa-edge reads version {VERSION}; "
                "upgrade fiqa-edge or export the artefact again"
            )
        try:
            known = {f.name for f in fields(cls)}
            values = {key: value for key, value in data.items() if key in known}
            values["input"] = input_from_json(values["input"])
            values["outputs"] = tuple(output_from_json(o) for o in values["outputs"])
            values["notes"] = tuple(values.get("notes", ()))
            if values.get("score_map"):
                knots = values["score_map"]
                values["score_map"] = ScoreMap(tuple(knots["fp32"]), tuple(knots["artefact"]))
            values["canaries"] = tuple(Canary(**c) for c in values.get("canaries", ()))
            card = cls(**values)
            card._check()
            return card
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise CardError(f"{where} is damaged ({error}); export the artefact again with fiqa-export") from error

    def _check(self) -> None:
        """Raises ValueError where what decides how images are fed, or what comes out, cannot be."""
        sides = (self.input.height, self.input.width)
        tables = (self.files, self.weights, self.parity, self.canary_tolerance, self.conversion, self.plan)
        wrong = {
            "max_batch": not _is_count(self.max_batch),
            "outputs": not self.outputs,
            "colour": self.input.colour not in get_args(Colour),
            "height or width": not all(side is None or _is_count(side) for side in sides),
            "score_map": self.score_map is not None and not self.score_map.fp32,
            "a table": not all(isinstance(table, Mapping) for table in tables),
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise ValueError(f"{name} cannot be right")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 1


def card_path(artefact: Path) -> Path:
    """Where the card of `artefact` stands."""
    return artefact.with_name(artefact.name + ".json")


def write_card(card: Card, artefact: Path) -> None:
    """Write `card` beside `artefact`."""
    write_text(card_path(artefact), card.to_json() + "\n")


def has_card(artefact: Path) -> bool:
    """Whether a card stands beside the ONNX file `artefact` or in it; raises ArtefactError where that is no model."""
    artefact = artefact.resolve()
    return card_path(artefact).is_file() or METADATA_KEY in read_metadata(artefact)


def read_card(artefact: Path) -> Card:
    """The card of an existing `artefact`, checked against the artefact's files.

    Looked for beside it, then inside it (ONNX), then among the known files of others. Raises CardError where there
    is none, where it belongs to another file, or where it is damaged; ArtefactError where the artefact is no model.
    """
    artefact = artefact.resolve()
    embedded = read_metadata(artefact).get(METADATA_KEY) if artefact.suffix == ".onnx" else None
    beside = card_path(artefact)
    if beside.is_file():
        card = Card.from_json(beside.read_bytes(), str(beside))
        if artefact.name not in card.files:
            raise CardError(f"{beside} is the card of another file; export {artefact.name} again with fiqa-export")
    elif embedded is not None:
        card = Card.from_json(embedded, f"the card inside {artefact}")
    else:
        card = _foreign_card(artefact, beside)
    _check_files(card, artefact.parent)
    return card


def _check_files(card: Card, folder: Path) -> None:
    for name, expected in card.files.items():
        path = folder / name
        if not path.is_file():
            raise ArtefactError(f"{path} is missing, it is part of the artefact; copy it there or export again")
        if sha256_file(path) != expected:
            raise CardError(f"{path} is not the file its card describes (SHA-256 differs); export it again")


def _foreign_card(artefact: Path, beside: Path) -> Card:
    digest = sha256_file(artefact)
    spec = FOREIGN_ARTEFACTS.get(digest)
    if spec is None:
        raise CardError(f"{artefact} has no card: {beside.name} is missing; copy it there or run fiqa-export")
    return Card(
        model=spec.name,
        precision="fp32",
        format="onnx",
        input=spec.input,
        outputs=spec.outputs,
        licence=spec.licence,
        source=spec.source,
        max_batch=1,
        notes=spec.notes,
        weights={"kind": "official", "description": "as published"},
        files={artefact.name: digest},
    )


def with_files(card: Card, folder: Path, names: list[str]) -> Card:
    """`card` with the SHA-256 of the files `names` in `folder`."""
    return replace(card, files={name: sha256_file(folder / name) for name in names})

"""The card of an artefact: what to feed it, what comes out, where it came from, how far it is from the reference.

A card stands as JSON beside the artefact (``ediffiqa-t.fp32.onnx.json``) and, in ONNX files, also in
``metadata_props`` under the key ``fiqa_card``. The runtime knows no model by name: it reads the card.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from fiqa_runtime.artefact.facts import CONVERSIONS, Conversion, PlanBuild, Verdict, Weights
from fiqa_runtime.artefact.score_map import ScoreMap
from fiqa_runtime.artefact.spec import LONGEST_SIDE, InputSpec, OutputSpec, Precision
from fiqa_runtime.artefact.zoo import FOREIGN_ARTEFACTS
from fiqa_runtime.errors import ArtefactError, CardError
from fiqa_runtime.onnx_bytes.external import external_files
from fiqa_runtime.onnx_bytes.metadata import read_metadata, sha256_without
from fiqa_runtime.system.documents import parse_json
from fiqa_runtime.system.files import once_per_state, sha256_of, write_text
from fiqa_runtime.system.schema import check_bounds, from_plain

VERSION = 1
METADATA_KEY = "fiqa_card"
LARGEST_CARD = 1 << 26
"""Bytes; a larger file is not read as a card."""
LARGEST_BATCH = 1 << 16
MOST = {"outputs": 64, "canaries": 64, "canary values": 64}
"""More of these than any network of ours has; a card with more of them is damaged."""


@dataclass(frozen=True)
class Canary:
    """Reference values of one seeded image, so that any device can check itself without torch."""

    index: int
    """Which seeded image; with the next three the arguments of :func:`fiqa_runtime.images.seeded.seeded_image`."""
    height: int
    width: int
    seed: int
    values: Mapping[str, tuple[float, ...]]
    """By output name: the flattened output at :func:`fiqa_runtime.scoring.canaries.probe` positions, from torch
    float32."""

    def __post_init__(self) -> None:
        for side in (self.height, self.width):
            check_bounds("the side of a canary", side, 1, LONGEST_SIDE)
        for values in self.values.values():
            check_bounds("the number of values of a canary", len(values), 1, MOST["canary values"])


@dataclass(frozen=True)
class Card:
    """Everything the runtime has to know about one artefact."""

    model: str
    """Name in the zoo."""
    precision: Precision
    """What the graph computes in."""
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
    weights: Weights = field(default_factory=Weights)
    """Where the weights came from."""
    parity: Verdict = field(default_factory=Verdict)
    """Verdict against the torch reference."""
    canaries: tuple[Canary, ...] = ()
    """Reference values for the self-test."""
    canary_tolerance: Mapping[str, float] = field(default_factory=dict)
    """By output name: largest absolute difference that still passes the self-test."""
    conversion: Conversion | None = None
    """How a reduced precision was reached, an entry of :data:`fiqa_runtime.artefact.facts.CONVERSIONS`; None for fp32
    and for artefacts of others."""
    score_map: ScoreMap | None = None
    """From float32 scores to this artefact's, for thresholds; None for fp32 and for networks without a score."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Packages that made the artefact."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of every file of the artefact by name; the copy inside an ONNX file lists its data file only."""
    model_sha256: str = ""
    """SHA-256 of the ONNX file without the copy of this card in it, which so ties that copy to graph and weights;
    empty for plans, for artefacts of others, and where an older version wrote the card."""
    plan: PlanBuild | None = None
    """What a TensorRT plan was built by and for; None for ONNX."""

    def __post_init__(self) -> None:
        check_bounds("max_batch", self.max_batch, 1, LARGEST_BATCH)
        check_bounds("the number of outputs", len(self.outputs), 1, MOST["outputs"])
        check_bounds("the number of canaries", len(self.canaries), 0, MOST["canaries"])
        outside = [name for name in self.files if Path(name).name != name or "\\" in name]
        if outside:
            raise ValueError(f"it names {outside[0]!r}, which is not a file beside it")
        if self.format == "plan" and self.plan is None:
            raise ValueError("it does not say what the plan was built for")

    def __repr__(self) -> str:
        return f"<Card {self.model} {self.precision} {self.format}, weights: {self.weights.description}>"

    @property
    def served_name(self) -> str:
        """What servers call the model."""
        return f"{self.model}-{self.precision}"

    def as_json(self) -> dict[str, Any]:
        """The card as plain data."""
        plain = asdict(self) | {name: {} for name in NESTED if getattr(self, name) is None}
        return {"fiqa_card": VERSION, **plain}

    def to_json(self) -> str:
        """The card as a JSON document."""
        return json.dumps(self.as_json(), indent=1)

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Card:
        """Parse a card; `where` names it in errors.

        Raises CardError where it is damaged or of a newer version. Entries that this version does not know are left
        out: they say more about the artefact, never how to feed it.
        """
        try:
            data = parse_json(text)
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
            values |= {name: None for name in NESTED if values.get(name) == {}}
            conversion = values.pop("conversion", None)
            card = from_plain(cls, values)
            if conversion is not None:
                if card.precision not in CONVERSIONS:
                    raise ValueError(f"{card.precision} has no conversion")
                kind = CONVERSIONS[card.precision]
                card = replace(card, conversion=from_plain(kind, conversion, "conversion"))
        except (ValueError, RecursionError) as error:
            raise CardError(f"{where} is damaged ({error}); export the artefact again with fiqa-export") from error
        return card


NESTED = ("conversion", "plan")
"""Entries that are an empty table in JSON where they are None."""


def built_for(card: Card) -> PlanBuild:
    """What the plan of `card` was built by and for; raises CardError for a card of another artefact."""
    if card.plan is None:
        raise CardError(f"the card of {card.model} does not describe a plan; build one with fiqa-export {card.model}")
    return card.plan


def card_path(artefact: Path) -> Path:
    """Where the card of `artefact` stands."""
    return artefact.with_name(artefact.name + ".json")


def write_card(card: Card, artefact: Path) -> None:
    """Write `card` beside `artefact`."""
    write_text(card_path(artefact), card.to_json() + "\n")


def has_card(artefact: Path) -> bool:
    """Whether a card stands beside the ONNX file `artefact` or in it; raises ArtefactError where that is not an
    ONNX model."""
    artefact = artefact.resolve()
    return card_path(artefact).is_file() or METADATA_KEY in read_metadata(artefact)


def read_card(artefact: Path) -> Card:
    """The card of an existing `artefact`, checked against the artefact's files.

    Looked for beside it, then inside it (ONNX), then among the known files of others. Where there are two, both are
    checked, and they must feed images alike. Raises CardError where there is none, where it belongs to another file,
    or where it is damaged; ArtefactError where the artefact is not an ONNX model, or not the one of its cards.
    """
    artefact = artefact.resolve()
    beside, place = None, card_path(artefact)
    if place.is_file():
        beside = Card.from_json(_card_bytes(place), str(place))
        if artefact.name not in beside.files:
            raise CardError(f"{place} is the card of another file; export {artefact.name} again with fiqa-export")
        _check_files(beside, artefact.parent)
    if beside is not None and beside.format == "plan":
        return beside
    inside = _card_inside(artefact)
    if beside is not None and inside is not None:
        _check_alike(beside, inside, place)
    card = beside or inside or _foreign_card(artefact)
    if outside := once_per_state(external_files, artefact) - card.files.keys():
        raise ArtefactError(f"{artefact} has weights in {min(outside)}, which its card does not name; export it again")
    return card


def is_tied(card: Card, artefact: Path) -> bool:
    """Whether `card`, as :func:`read_card` gives it, was checked against the very bytes of `artefact`."""
    return artefact.resolve().name in card.files or bool(card.model_sha256)


def _card_inside(artefact: Path) -> Card | None:
    try:
        text = read_metadata(artefact).get(METADATA_KEY)
    except ArtefactError as error:
        if artefact.suffix.lower() == ".onnx":
            raise
        raise _no_card(artefact) from error
    if text is None:
        return None
    card = Card.from_json(text, f"the card inside {artefact}")
    _check_files(card, artefact.parent)
    if card.model_sha256 and once_per_state(sha256_without_card, artefact) != card.model_sha256:
        raise ArtefactError(f"{artefact} is not the network that the card inside it describes; export it again")
    return card


def sha256_without_card(onnx: Path) -> str:
    """What :attr:`Card.model_sha256` has to be for the ONNX file `onnx`."""
    return sha256_without(onnx, METADATA_KEY)


def _check_alike(beside: Card, inside: Card, place: Path) -> None:
    for name in ("model", "precision", "input", "outputs"):
        if getattr(beside, name) != getattr(inside, name):
            raise CardError(
                f"{place} and the card inside the file differ in '{name}', so images would be fed otherwise; "
                "delete the card beside, or export the artefact again"
            )


def _card_bytes(path: Path) -> bytes:
    if path.stat().st_size > LARGEST_CARD:
        raise CardError(f"{path} is not a card, it is too large; export the artefact again with fiqa-export")
    return path.read_bytes()


def _check_files(card: Card, folder: Path) -> None:
    for name, expected in card.files.items():
        path = folder / name
        if not path.is_file():
            raise ArtefactError(f"{path} is missing, it is part of the artefact; copy it there or export again")
        if sha256_of(path) != expected:
            raise CardError(f"{path} is not the file its card describes (SHA-256 differs); export it again")


def _no_card(artefact: Path) -> CardError:
    beside = card_path(artefact).name
    return CardError(f"{artefact} has no card: {beside} is missing; copy it there or run fiqa-export")


def _foreign_card(artefact: Path) -> Card:
    digest = sha256_of(artefact)
    spec = FOREIGN_ARTEFACTS.get(digest)
    if spec is None:
        raise _no_card(artefact)
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
        weights=Weights("official", "as published"),
        files={artefact.name: digest},
    )


def with_files(card: Card, folder: Path, names: list[str]) -> Card:
    """`card` with the SHA-256 of the files `names` in `folder`."""
    return replace(card, files={name: sha256_of(folder / name) for name in names})

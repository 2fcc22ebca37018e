"""Where a plan can run, as its card says, and the errors where this machine is not such a place."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from fiqa_runtime.artefact.card import Card, built_for
from fiqa_runtime.artefact.facts import PlanBuild
from fiqa_runtime.backends.cuda.driver import Gpu
from fiqa_runtime.errors import CardError, UnsupportedError

EXTRAS = {"tensorrt": "tensorrt", "tensorrt_rtx": "rtx"}
"""Extra of fiqa-edge that brings each flavour of TensorRT."""
TENSORRT_VERSIONS = ((10, 3), (12,))
"""The first version of TensorRT that is supported, and the first that is not any more."""
AMPERE = (8, 0)
"""Lowest compute capability of hardware-compatible plans."""


@dataclass(frozen=True)
class PlanFacts:
    """What decides whether a plan can run here, and what its errors say."""

    name: str
    """File name, for messages."""
    rebuild: str
    """Command that builds the plan again."""
    build: PlanBuild
    """What it was built by and for."""

    @property
    def needs_lean_runtime(self) -> bool:
        """Whether the plan is run by the lean runtime of its own major version, whatever newer TensorRT is here."""
        return self.build.flags.version_compatible and self.build.flavour == "tensorrt"


def plan_facts(card: Card, artefact: Path) -> PlanFacts:
    """The facts of the plan `artefact`; raises CardError where its card names a flavour of TensorRT we do not know."""
    build = built_for(card)
    if build.flavour not in EXTRAS:
        raise CardError(
            f"{artefact.name} is a plan of '{build.flavour}', which this version does not know; upgrade fiqa-edge"
        )
    return PlanFacts(artefact.name, _rebuild(card, artefact, build.flavour), build)


def _rebuild(card: Card, artefact: Path, flavour: str) -> str:
    """The command that builds the plan again: from the ONNX file beside it, which needs no torch, else from its
    weights."""
    target = f"--target {flavour.replace('_', '-')}"
    onnx = artefact.with_suffix(".onnx")
    if onnx.is_file():
        return f"fiqa-export {shlex.quote(str(onnx))} {target}"
    precision = {"fp32": "", "int8": " --int8 --calib FOLDER"}.get(card.precision, f" --{card.precision}")
    given = {"file": "FILE", "standin": "standin", "seeded": f"seeded:{card.weights.seed or 0}"}
    weights = f" --weights {given[card.weights.kind]}" if card.weights.kind in given else ""
    return f"fiqa-export {card.model}{precision}{weights}{' --raw-input' if card.input.raw else ''} {target}"


def read_plan(artefact: Path, card: Card) -> bytes:
    """The plan's bytes, which are the ones that were hashed; raises CardError where the card describes others."""
    data = artefact.read_bytes()
    if hashlib.sha256(data).hexdigest() != card.files.get(artefact.name):
        raise CardError(f"{artefact} is not the file its card describes (SHA-256 differs); build it again")
    return data


def refuse_other_version(facts: PlanFacts, installed: str) -> None:
    """Raise UnsupportedError where the installed TensorRT cannot run the plan."""
    if facts.build.flavour == "tensorrt" and not TENSORRT_VERSIONS[0] <= numbers(installed) < TENSORRT_VERSIONS[1]:
        raise UnsupportedError(f"TensorRT {installed} is installed, fiqa-edge runs plans with 10.3 to 11; change it")
    newer_is_fine = facts.needs_lean_runtime and numbers(installed) >= numbers(facts.build.version)
    if installed != facts.build.version and not newer_is_fine:
        raise UnsupportedError(
            f"{facts.name} was built by {facts.build.flavour} {facts.build.version}, {installed} is installed; "
            f"build it again here: {facts.rebuild}"
        )


def refuse_other_gpu(facts: PlanFacts, here: Gpu) -> None:
    """Raise UnsupportedError where the plan was built for another GPU."""
    if facts.build.flavour == "tensorrt_rtx":
        fits = facts.build.compute_capability in (None, here.compute_capability)
    elif facts.build.flags.hardware_compatible:
        fits = numbers(here.compute_capability) >= AMPERE
    else:
        fits = (facts.build.gpu, facts.build.compute_capability) == (here.name, here.compute_capability)
    if not fits:
        built_for = "Ampere GPUs and later" if facts.build.flags.hardware_compatible else facts.build.gpu or "GPUs"
        raise UnsupportedError(
            f"{facts.name} was built for {built_for} (compute capability {facts.build.compute_capability}), here is "
            f"{here.name} ({here.compute_capability}); build it again here: {facts.rebuild}"
        )


def numbers(version: str) -> tuple[int, ...]:
    """A version or a compute capability, to be compared."""
    return tuple(int(number) for number in re.findall(r"\d+", version))

"""What is in the JSON documents of ``fiqa-export``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fiqa_export.doctor.facts import Facts
from fiqa_export.doctor.line import Line
from fiqa_runtime.artefact.facts import Conversion, PlanBuild, Verdict, Weights
from fiqa_runtime.artefact.spec import ModelSpec, Precision

from docs.generate.kinds.score import PassedOver


@dataclass(frozen=True)
class ExportedFile:
    """One artefact; where a finished file got its plan, only `path`, `plan` and `files`."""

    path: str
    plan: PlanBuild | None
    """An empty table for ONNX."""
    files: Mapping[str, str]
    """SHA-256 by name."""
    model: str | None = None
    precision: Precision | None = None
    format: Literal["onnx", "plan"] | None = None
    bytes: int | None = None
    weights: Weights | None = None
    licence: str | None = None
    conversion: Conversion | None = None
    """An empty table for fp32."""
    seconds: float | None = None
    """How long the export took."""
    parity: Verdict | None = None
    """Against PyTorch; missing for plans."""


@dataclass(frozen=True)
class Exports:
    """What an export made."""

    artefacts: tuple[ExportedFile, ...]
    failed: Mapping[str, str]
    """By network: why there is no artefact."""
    passed_over: tuple[PassedOver, ...] = ()
    """What stands in the folders of --images and --calib and is not an image; left out where a plan alone was built."""


@dataclass(frozen=True)
class Network(ModelSpec):
    """One network of the registry."""

    weights_here: Mapping[str, bool] = field(default_factory=dict)
    """By set of weights: whether its files are on this machine."""


@dataclass(frozen=True)
class Networks:
    """The registry."""

    models: tuple[Network, ...]


@dataclass(frozen=True)
class Doctor:
    """What this machine can build."""

    target: str
    lines: tuple[Line, ...]
    flavours: tuple[str, ...]
    """Kinds of TensorRT that can build plans here, the preferred one first."""
    works: bool
    """Whether the target can work."""
    facts: Facts

"""Every network the project knows: a file for each family here, and its entries in :data:`MODELS`.

Facts come from the publications and repositories named in each entry's ``source``; licences are those of the
weights as their authors state them.
"""

from __future__ import annotations

import difflib
from dataclasses import replace

from fiqa_runtime.artefact.spec import ModelSpec
from fiqa_runtime.artefact.zoo.cr_fiqa import CR_FIQA
from fiqa_runtime.artefact.zoo.dsl_fiqa import DSL_FIQA, DSL_FIQA_VISIBLE
from fiqa_runtime.artefact.zoo.ediffiqa import EDIFFIQA, STANDIN
from fiqa_runtime.artefact.zoo.facexformer import FACEXFORMER, FACEXFORMER_512
from fiqa_runtime.artefact.zoo.ifqa import IFQA, IFQA_PLUS
from fiqa_runtime.artefact.zoo.mtcnn import MTCNN
from fiqa_runtime.artefact.zoo.yunet import DETECTOR, YUNET
from fiqa_runtime.errors import InputError

__all__ = ["DETECTOR", "FOREIGN_ARTEFACTS", "GROUPS", "MODELS", "STANDIN", "find_model"]

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        *EDIFFIQA,
        *CR_FIQA,
        IFQA,
        IFQA_PLUS,
        DSL_FIQA,
        DSL_FIQA_VISIBLE,
        FACEXFORMER,
        FACEXFORMER_512,
        *YUNET,
        *MTCNN,
    )
}
"""Spec of every known network by name."""

GROUPS = {"mtcnn": tuple(spec.name for spec in MTCNN), "all": tuple(MODELS)}
"""Names that stand for several networks at once."""

FOREIGN_ARTEFACTS: dict[str, ModelSpec] = {
    "9426c899cc0f01665240cb7d9e7f98e18e24e456c178326c771a43da289bfc6a": replace(
        MODELS["ediffiqa-t"],
        input=replace(MODELS["ediffiqa-t"].input, resize="opencv-bilinear"),
        licence="CC BY 4.0 (OpenCV Zoo)",
    ),
}
"""ONNX files of others that carry no card, by SHA-256: OpenCV Zoo's `ediffiqa_tiny_jun2024.onnx`."""


def find_model(name: str) -> ModelSpec:
    """The spec called `name` (or one of its aliases); raises InputError that suggests the nearest name."""
    known = {alias: spec for spec in MODELS.values() for alias in (spec.name, *spec.aliases)}
    spec = known.get(name.lower().replace("_", "-"))
    if spec is not None:
        return spec
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.0)
    raise InputError(f"unknown model '{name}'; did you mean '{near[0]}'? fiqa-export --list shows all of them")

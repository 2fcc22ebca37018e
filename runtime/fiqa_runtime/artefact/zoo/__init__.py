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


def _opencv_resized(name: str, licence: str | None = None) -> ModelSpec:
    """The network `name` as others export it: crops of another size are resized by OpenCV."""
    spec = MODELS[name]
    return replace(spec, input=replace(spec.input, resize="opencv-bilinear"), licence=licence or spec.licence)


FOREIGN_ARTEFACTS: dict[str, ModelSpec] = {
    "9426c899cc0f01665240cb7d9e7f98e18e24e456c178326c771a43da289bfc6a": _opencv_resized(
        "ediffiqa-t", "CC BY 4.0 (OpenCV Zoo)"
    ),
    "7a83be63e6583ec5800fa0762e219b65b4b9f1721c4d210bfe2f16c0478832bb": _opencv_resized("ediffiqa-t"),
    "1797c144f4c9b1244b5561efcab80d588a640d15cebb38dbcfdedfe65439fb47": _opencv_resized("ediffiqa-s"),
    "b02ea2dcc0536d6b2480fe67ec7d8c5993bf39fe5e00f77c971a21f2701b3f37": _opencv_resized("ediffiqa-m"),
    "72238239298cf645d3f5954d657b4aca7b64fd25bc808c0260778386da9b00a1": _opencv_resized("ediffiqa-l"),
}
"""ONNX files of others that carry no card, by SHA-256: OpenCV Zoo's `ediffiqa_tiny_jun2024.onnx`, then uniface's
`ediffiqa_t.onnx`, `_s`, `_m` and `_l`."""


def find_model(name: str) -> ModelSpec:
    """The spec called `name` (or one of its aliases); raises InputError that suggests the nearest name."""
    known = {alias: spec for spec in MODELS.values() for alias in (spec.name, *spec.aliases)}
    spec = known.get(name.lower().replace("_", "-"))
    if spec is not None:
        return spec
    near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.0)
    raise InputError(f"unknown model '{name}'; did you mean '{near[0]}'? fiqa-export --list shows all of them")

"""From a research checkpoint to ONNX and TensorRT, with a parity verdict at every step.

    from fiqa_export import FP16, Options, export

    exported = export("ediffiqa-t", None, Path("engines"), Options(FP16))

Names are loaded when they are first used: most of them need torch, and ``fiqa-export --help`` must not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fiqa_runtime.images.seeded import seeded_image

    from fiqa_export.checkpoints.checkpoint import load_reference
    from fiqa_export.checkpoints.seeded import load_seeded
    from fiqa_export.models import Reference, build
    from fiqa_export.pipeline import Exported, Options, export
    from fiqa_export.plan.target import PlanOptions
    from fiqa_export.verdict.recipe import FP16, FP32, INT8, Recipe

_MODULES = {
    "FP16": "fiqa_export.verdict.recipe",
    "FP32": "fiqa_export.verdict.recipe",
    "INT8": "fiqa_export.verdict.recipe",
    "Exported": "fiqa_export.pipeline",
    "Options": "fiqa_export.pipeline",
    "PlanOptions": "fiqa_export.plan.target",
    "Recipe": "fiqa_export.verdict.recipe",
    "Reference": "fiqa_export.models",
    "build": "fiqa_export.models",
    "export": "fiqa_export.pipeline",
    "load_reference": "fiqa_export.checkpoints.checkpoint",
    "load_seeded": "fiqa_export.checkpoints.seeded",
    "seeded_image": "fiqa_runtime.images.seeded",
}

__all__ = [
    "FP16",
    "FP32",
    "INT8",
    "Exported",
    "Options",
    "PlanOptions",
    "Recipe",
    "Reference",
    "build",
    "export",
    "load_reference",
    "load_seeded",
    "seeded_image",
]


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""PyTorch references under the authors' own state-dict names.

    build("ediffiqa-t")    # eval mode, random weights; load them with fiqa_export.checkpoints.checkpoint or .seeded

Each family is one file with a ``build(spec)``; :data:`fiqa_runtime.artefact.zoo.MODELS` says which file a name belongs
to.
"""

from __future__ import annotations

import importlib

from fiqa_runtime.artefact.zoo import find_model

from fiqa_export.models.reference import Reference

__all__ = ["Reference", "build"]


def build(name: str) -> Reference:
    """The reference network called `name`, in eval mode, float32, on the CPU, with untrained parameters.

    `forward` takes normalised float NCHW and returns the outputs of ``spec.outputs`` in order (a tensor if one).
    Raises InputError for an unknown name.
    """
    spec = find_model(name)
    module = importlib.import_module(f"fiqa_export.models.{spec.family}")
    model: Reference = module.build(spec)
    return model.eval()

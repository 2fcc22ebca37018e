"""The registry as test parameters: large networks are slow, and long where a test does much with them."""

from __future__ import annotations

from typing import Any

import pytest
from fiqa_runtime.artefact.zoo import MODELS

SLOW, LONG = 20_000_000, 300_000_000
"""Networks with more parameters are slow, and long: minutes that CI does not have."""
VARIANTS = ("dsl-fiqa-visible", "facexformer-512", "ediffiqa-m", "ediffiqa-l", "cr-fiqa-l", "yunet-n")
"""Other graphs of a checkpoint, and other depths of an architecture, that is tested under another name: long."""


def by_size(long: int = LONG) -> list[Any]:
    """All networks by name; variants and those with more than `long` parameters are long, others above SLOW slow."""

    def marks(name: str, parameters: int) -> list[pytest.MarkDecorator]:
        if name in VARIANTS or parameters > long:
            return [pytest.mark.long]
        return [pytest.mark.slow] if parameters > SLOW else []

    return [pytest.param(name, marks=marks(name, spec.parameters)) for name, spec in MODELS.items()]

"""The registry as test parameters: large networks are slow, and long where a test does much with them."""

from __future__ import annotations

from typing import Any

import pytest
from fiqa_runtime.zoo import MODELS

SLOW = 20_000_000
"""Networks with more parameters are slow."""
VARIANTS = ("dsl-fiqa-visible", "facexformer-512", "ediffiqa-m", "ediffiqa-l", "cr-fiqa-l")
"""Other graphs of a checkpoint, and other depths of an architecture, that is tested under another name: long."""


def by_size(long: int | None = None) -> list[Any]:
    """All networks by name; variants and those with more than `long` parameters are long, others above SLOW slow."""

    def marks(name: str, parameters: int) -> list[pytest.MarkDecorator]:
        if name in VARIANTS or (long is not None and parameters > long):
            return [pytest.mark.long]
        return [pytest.mark.slow] if parameters > SLOW else []

    return [pytest.param(name, marks=marks(name, spec.parameters)) for name, spec in MODELS.items()]

"""The registry as test parameters: large networks are slow, and long where a test does much with them."""

from __future__ import annotations

from typing import Any

import pytest
from fiqa_runtime.zoo import MODELS

SLOW = 20_000_000
"""Networks with more parameters are slow."""


def by_size(long: int | None = None) -> list[Any]:
    """All networks by name; those with more than `long` parameters are long, others above SLOW are slow."""

    def marks(parameters: int) -> list[pytest.MarkDecorator]:
        if long is not None and parameters > long:
            return [pytest.mark.long]
        return [pytest.mark.slow] if parameters > SLOW else []

    return [pytest.param(name, marks=marks(spec.parameters)) for name, spec in MODELS.items()]

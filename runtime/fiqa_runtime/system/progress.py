"""How a long step tells how far it is, without knowing who listens."""

from __future__ import annotations

from collections.abc import Callable

Report = Callable[[str, int, int], None]
"""Tells people how far a step is: what is being done, units done, units in all."""


def silent(what: str, done: int, total: int) -> None:
    """A :data:`Report` for library use."""

"""One line of the doctor's screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "absent", "warning", "bad"]


@dataclass(frozen=True)
class Line:
    """One line of the screen."""

    topic: str
    text: str
    fix: str | None = None
    """What to do about it; None where nothing is wrong."""
    stops: tuple[str, ...] = ()
    """What it prevents: flavours of TensorRT, or `export`."""
    status: Status = "ok"

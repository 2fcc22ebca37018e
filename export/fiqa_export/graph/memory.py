"""Memory that nobody uses any more, back to the operating system: what large networks need."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

from fiqa_export.graph.files import size_of

HEAVY = 20_000_000
"""Bytes of a network from which it pays to look for memory that nobody uses any more."""


def make_room(network: Path) -> None:
    """What to do before the ONNX file `network` is opened: :func:`give_back` if it is heavy."""
    if size_of(network) >= HEAVY:
        give_back()


def give_back() -> None:
    """Let go of graphs that nobody uses, which refer to themselves, and :func:`trim`."""
    gc.collect()
    trim()


def trim() -> None:
    """Return freed memory: blocks of up to 32 MB, and holes between them, the C library of Linux keeps until asked."""
    if sys.platform == "linux":
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if malloc_trim is not None:
            malloc_trim(0)

"""Gives memory that is no longer used back to the operating system, which large networks need."""

from __future__ import annotations

import ctypes
import gc
import sys
from pathlib import Path

from fiqa_export.graph.files import size_of

HEAVY = 20_000_000
"""Bytes of a network from which looking for unused memory pays off."""


def make_room(network: Path) -> None:
    """Call :func:`give_back` where the ONNX file `network`, which is about to be opened, is large."""
    if size_of(network) >= HEAVY:
        give_back()


def give_back() -> None:
    """Free graphs that are no longer used, which refer to themselves, and :func:`trim`."""
    gc.collect()
    trim()


def trim() -> None:
    """Return freed memory. The C library of Linux keeps blocks of up to 32 MB, and the holes between them, until it is
    asked."""
    if sys.platform == "linux":
        malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if malloc_trim is not None:
            malloc_trim(0)

"""Memory of large networks that nobody uses any more."""

from __future__ import annotations

import ctypes
import gc
import sys


def give_back() -> None:
    """Return what is unused to the operating system.

    Graphs refer to themselves: those opened before would keep their weights. And what runtimes free in pieces of
    megabytes the C library of Linux keeps for the process until it is asked.
    """
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)

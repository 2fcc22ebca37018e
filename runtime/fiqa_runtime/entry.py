"""Where the commands begin: what a machine lacks before any of our code can run is one line, not a traceback."""

from __future__ import annotations

import sys
from importlib import import_module

OPENCV = "cv2"
_ADVICE = (
    "pip install 'fiqa-edge[headless]', or take the system's own OpenCV; "
    "where two kinds of it were installed, remove both first"
)


def score() -> None:
    """``fiqa-score``."""
    _run("fiqa_runtime.cli")


def watch() -> None:
    """``fiqa-watch``."""
    _run("fiqa_runtime.watch_cli")


def serve() -> None:
    """``fiqa-serve``."""
    _run("fiqa_runtime.serve_cli")


def export() -> None:
    """``fiqa-export``."""
    _run("fiqa_export.cli")


def bench() -> None:
    """``fiqa-bench``."""
    _run("fiqa_benchmarks.cli")


def evaluate() -> None:
    """``fiqa-eval``."""
    _run("fiqa_evaluation.cli")


def _run(module: str) -> None:
    try:
        command = import_module(module).main
    except ImportError as error:
        sys.stderr.write(f"error: {_lacking(error)}\n")
        raise SystemExit(2) from None
    command()


def _lacking(error: ImportError) -> str:
    """What to install, in one line. OpenCV's full wheel wants libGL, which a machine without a screen lacks."""
    reason = " ".join(str(error).split())
    if error.name == OPENCV or OPENCV in reason:
        return f"there is no OpenCV ({reason}); {_ADVICE}"
    if ".so" in reason or "DLL" in reason:
        return f"OpenCV or another library cannot be loaded ({reason}); {_ADVICE}"
    return f"a package is missing or broken ({reason}); pip install --force-reinstall fiqa-edge"

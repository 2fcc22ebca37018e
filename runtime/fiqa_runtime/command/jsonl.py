"""One JSON document per line and image, written as the results come."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fiqa_runtime.command.results import PASSED_OVER, ImageResult
from fiqa_runtime.system.files import replacing, writing

Line = dict[str, Any]


def line_of(result: ImageResult) -> Line:
    """What a line says of an image: its faces, or of a ready crop its quality, or the error that left it without."""
    known = {"image": str(result.path), "outcome": result.outcome}
    error = None if result.error is None else str(result.error)
    if result.faces is None:
        return {**known, "quality": result.quality, "error": error}
    return {**known, "faces": result.as_json()["faces"], "error": error or (result.left_out and str(result.left_out))}


def line_of_passed_over(path: Path, reason: str) -> Line:
    """What a line says of a file in a folder that was not read."""
    return {"image": str(path), "outcome": PASSED_OVER, "error": reason}


@contextmanager
def jsonl_writer(path: Path | None) -> Iterator[Callable[[Line], None]]:
    """A function that appends a line to `path`, which appears once all are written; ``-`` is stdout, None is nowhere.

    Raises InputError where the file cannot be written.
    """
    if path is None:
        yield lambda line: None
    elif str(path) == "-":
        yield _print_line
    else:
        with replacing(path) as target, writing(path), target.open("w", encoding="utf-8") as stream:

            def write(line: Line) -> None:
                with writing(path):
                    stream.write(json.dumps(line, allow_nan=False) + "\n")

            yield write


def _print_line(line: Line) -> None:
    sys.stdout.write(json.dumps(line, allow_nan=False) + "\n")

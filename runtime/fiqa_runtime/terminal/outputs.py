"""What a command writes: checks before the work, and one JSON document."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path

from fiqa_runtime.errors import InputError
from fiqa_runtime.system.files import NamedFile, end_of_link, is_special, write_text, writing
from fiqa_runtime.system.host import installed_versions

TO_STDOUT = ("--json", "--jsonl", "--csv")
"""Outputs that ``-`` sends to stdout."""


def write_json(document: Mapping[str, object], destination: str, schema: str | None = None) -> None:
    """One JSON document to a file, or to stdout where `destination` is ``-``; ValueError for NaN and infinity.

    A document of a `schema`, as `fiqa-score.v1`, begins with its name, the version of this project and the time.
    """
    head = {} if schema is None else {"schema": schema, "fiqa_edge": _version(), "written": _now()}
    text = json.dumps({**head, **document}, indent=1, default=_plain, allow_nan=False) + "\n"
    if destination == "-":
        sys.stdout.write(text)
    else:
        write_text(Path(destination), text)


def _version() -> str:
    return installed_versions(["fiqa-edge"]).get("fiqa-edge", "not installed")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def check_output_folder(path: Path) -> None:
    """Create `path` if need be; raises InputError where nothing can be written there."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise InputError(f"cannot write to {path}: {error.strerror}; choose a folder you may write to") from error


def check_output_file(path: Path) -> None:
    """Create the folder of `path` if need be; raises InputError where no file of that name can be written."""
    with writing(path):
        if path.is_dir():
            raise InputError(f"{path} is a folder; name a file in it")
        if not is_special(path):
            check_output_folder(end_of_link(path).parent)


def check_outputs(outputs: Iterable[NamedFile], inputs: Iterable[NamedFile] = ()) -> None:
    """Raise InputError where one of `outputs` cannot be written, or is the same file as another one or as an input.

    None is passed over; devices and FIFOs may be shared. ``-`` is stdout, which takes one of :data:`TO_STDOUT`.
    """
    taken = {os.path.realpath(file): name for name, file in inputs if file is not None}
    stdout = None
    for name, file in outputs:
        if file is None:
            continue
        if str(file) == "-":
            _check_stdout(name, stdout)
            stdout = name
            continue
        check_output_file(Path(file))
        place = os.path.realpath(file)
        if place in taken and not is_special(Path(file)):
            raise InputError(f"{name} and {taken[place]} are the same file {file}; name another one")
        taken[place] = name


def _check_stdout(name: str, other: str | None) -> None:
    """Raise InputError where the output `name` cannot go to stdout, or the output `other` goes there too."""
    if name not in TO_STDOUT:
        raise InputError(f"{name} cannot be written to stdout; name a file")
    if other:
        raise InputError(f"{other} and {name} cannot both be written to stdout; name a file for one of them")


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")

"""What the three commands share: one line per error, a progress bar on stderr, one JSON document on stdout."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from fiqa_runtime.errors import FiqaError, InputError
from fiqa_runtime.files import end_of_link, is_special, write_text, writing

Report = Callable[[str, int, int], None]
"""Tells people how far a step is: what is being done, units done, units in all."""

NamedFile = tuple[str, str | Path | None]
"""The option that names a file, and the file."""

stderr = Console(stderr=True)


def run(app: typer.Typer) -> None:
    """Run a command: a :class:`FiqaError` becomes one line on stderr and the error's exit code, Ctrl-C 130.

    So does what the operating system refuses and nobody expected, as a folder that may not be searched or a full disk
    under stdout, with exit code 2.
    """
    try:
        with _refusals_of_the_system():
            _refuse_empty(sys.argv)
            app(standalone_mode=True)
    except FiqaError as error:
        stderr.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        stderr.print("stopped")
        raise SystemExit(130) from None


@contextmanager
def _refusals_of_the_system() -> Iterator[None]:
    """OSErrors inside become InputErrors; stdout takes names of files that are no UTF-8, and is flushed at the end."""
    if sys.stdout is None:
        raise InputError("stdout is closed; send it to a file, or to /dev/null")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.filename is None:
            sys.stdout = io.StringIO()  # what cannot be written would fail again when Python ends
        if error.errno == errno.EPIPE:
            raise SystemExit(1) from None  # as in `| head`: nobody is left to be told
        where = "the output" if error.filename is None else os.fsdecode(error.filename)
        reason = error.strerror or str(error)
        raise InputError(f"cannot use {where}: {reason}; check its name, its permissions and the free space") from error


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Raise InputError for an empty argument: no path, name or number of ours is, an unset shell variable is."""
    for before, given in pairwise(arguments):
        if not given or (given.startswith("--") and given.endswith("=")):
            where = given or f"after {Path(before).name}"
            raise InputError(f"the argument {where} is empty; is a shell variable unset?")


@contextmanager
def progress_bar() -> Iterator[Report]:
    """A bar per step on stderr, with counts and time left; plain and silent where stderr is no terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        tasks: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield report


def silent(what: str, done: int, total: int) -> None:
    """A :data:`Report` for library use."""


def write_json(document: object, destination: str) -> None:
    """One JSON document to a file, or to stdout where `destination` is ``-``; ValueError for NaN and infinity."""
    text = json.dumps(document, indent=1, default=_plain, allow_nan=False) + "\n"
    if destination == "-":
        sys.stdout.write(text)
    else:
        write_text(Path(destination), text)


def refuse_unused(what: str, options: Mapping[str, object]) -> None:
    """Raise InputError where one of `options`, by name, is set, because `what` would ignore it."""
    lost = [name for name, value in options.items() if value]
    if lost:
        raise InputError(f"{what} makes no use of {' and '.join(lost)}; leave {'it' if len(lost) == 1 else 'them'} out")


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
    """Raise InputError where one of `outputs` cannot be written, or is another one or one of `inputs` as well.

    A file that is None or ``-`` is none; devices and FIFOs may be shared.
    """
    taken = {os.path.realpath(file): name for name, file in inputs if file is not None}
    for name, file in outputs:
        if file is None or str(file) == "-":
            continue
        check_output_file(Path(file))
        place = os.path.realpath(file)
        if place in taken and not is_special(Path(file)):
            raise InputError(f"{name} and {taken[place]} are the same file {file}; name another one")
        taken[place] = name


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} does not go into JSON")

"""What every command shares: one line per error, the exit codes, and a progress bar on stderr."""

from __future__ import annotations

import codecs
import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from fiqa_runtime.errors import FiqaError, InputError
from fiqa_runtime.system.progress import Report

stderr = Console(stderr=True)
INTERRUPTED, TERMINATED = 130, 143
"""Exit codes after Ctrl-C and after SIGTERM."""
_voice = {"verbose": False}
ANY_NAME = "fiqa-any-name"


def run(app: typer.Typer) -> None:
    """Run a command, and turn what stops it into one line on stderr and an exit code.

    A :class:`FiqaError` gives the error's own exit code, Ctrl-C gives 130 and SIGTERM 143. What the operating system
    refuses, for example to search a folder or to write stdout to a full disk, gives 2, and so do options that do not
    exist.
    """
    set_voice()
    code, stops = None, list[int]()
    try:
        with _terminable() as stops, _refusals_of_the_system(), _wrong_options(Path(sys.argv[0]).name):
            _refuse_empty(sys.argv)
            code = app(standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        raise SystemExit(code)
    except FiqaError as error:
        stderr.quiet = False
        stderr.print(f"[bold red]error:[/] {escape(_printable(str(error)))}", soft_wrap=True, highlight=False)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        stderr.quiet = False
        stderr.print("stopped")
        raise SystemExit(TERMINATED if stops else INTERRUPTED) from None


@contextmanager
def _terminable() -> Iterator[list[int]]:
    """Inside, SIGTERM stops the command as Ctrl-C does, and the list says that it came; only a main thread can be told.

    So whoever has something to leave in order does that for both.
    """
    stops: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield stops
        return

    def stop(number: int, _: object) -> None:
        stops.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield stops
    finally:
        signal.signal(signal.SIGTERM, before)


def paint(text: str, colour: str) -> str:
    """`text` for stdout, in `colour` where a person reads it there and wants colours."""
    plain = not sys.stdout.isatty() or bool(os.environ.get("NO_COLOR"))
    return text if plain else typer.style(text, fg=colour)


def set_voice(quiet: bool = False, verbose: bool = False) -> None:
    """How much a command tells on stderr: errors alone, what matters, or also what :func:`detail` is told."""
    stderr.quiet = quiet
    _voice["verbose"] = verbose


def detail(line: str) -> None:
    """Print `line` on stderr for a person who asked for more."""
    if _voice["verbose"]:
        stderr.print(escape(_printable(line)), soft_wrap=True, highlight=False)


@contextmanager
def _wrong_options(command: str) -> Iterator[None]:
    """Turn what the reader of options refuses into InputErrors of one line."""
    try:
        yield
    except Exception as error:
        message = getattr(error, "format_message", None)  # Typer's readers, old and new, agree on this name alone
        if message is None:
            raise
        said = " ".join(str(message()).split()).rstrip(".")
        raise InputError(f"{said[:1].lower()}{said[1:]}; {command} --help shows what it takes") from error


@contextmanager
def _refusals_of_the_system() -> Iterator[None]:
    """Turn OSErrors inside into InputErrors, let stdout take any file name, and flush it at the end.

    A name that is not UTF-8 is written as its bytes, one that stdout's encoding does not have with backslashes.
    """
    if sys.stdout is None:
        raise InputError("stdout is closed; send it to a file, or to /dev/null")
    if isinstance(sys.stdout, io.TextIOWrapper):
        codecs.register_error(ANY_NAME, _any_name)
        sys.stdout.reconfigure(errors=ANY_NAME)
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


def _any_name(error: UnicodeError) -> tuple[str | bytes, int]:
    """Error handler: bytes of a file name that are not text stay as they are, other characters get backslashes."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)


def _printable(message: str) -> str:
    """`message` on one line, with control characters, which could drive the terminal, written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Raise InputError for an empty argument: no option takes one, and an unset shell variable leaves one."""
    for before, given in pairwise(arguments):
        if not given or (given.startswith("--") and given.endswith("=")):
            where = given or f"after {Path(before).name}"
            raise InputError(f"the argument {where} is empty; is a shell variable unset?")


def tell(lines: Iterable[str]) -> None:
    """Print `lines` for people on stderr; names keep their control characters to themselves."""
    for line in lines:
        stderr.print(escape(_printable(line)), soft_wrap=True, highlight=False)


@contextmanager
def progress_bar() -> Iterator[Report]:
    """Show a bar on stderr for each step, with counts and the time left; show nothing where stderr is not a
    terminal."""
    if not stderr.is_terminal:
        yield lambda what, done, total: None
        return
    from rich import progress  # only where a bar is shown, since it takes a while to load

    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=stderr, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield report

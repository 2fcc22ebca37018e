"""Work spread over processes, with no more of it in the air than is needed."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from fiqa_runtime.errors import InputError

T = TypeVar("T")
R = TypeVar("R")
SAFE_PATH = "PYTHONSAFEPATH"
"""Set for the new processes, which would look for modules in the working folder first."""
WAITING = 2
"""Pieces of work that wait for each process, so that none is idle and memory stays flat."""


def map_in_processes(
    work: Callable[[T], R],
    pieces: Sequence[T],
    workers: int,
    begin: Callable[..., None],
    arguments: tuple[Any, ...],
    ordered: bool = True,
) -> Iterator[R]:
    """``work(piece)`` for each of `pieces` in `workers` processes that began with ``begin(*arguments)``.

    Results come in the order of `pieces` or, where that is not asked for, as they are done, so that no process waits
    for a piece that takes long. Everything is pickled. Processes are spawned, since a fork would inherit the threads of
    a runtime half-way through their work. Raises what `begin` and `work` raise, InputError where a process is killed.
    """
    _refuse_modules_of_the_working_folder()
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = "1"  # already for the process that the pool itself begins, to track what is shared
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _begin, (begin, arguments))
    running = list[Future[R]]()
    try:
        for piece in pieces:
            running.append(pool.submit(work, piece))
            if len(running) > WAITING * workers:
                yield _taken(running, ordered)
        while running:
            yield _taken(running, ordered)
    except BrokenProcessPool as error:
        raise InputError(
            "a process of --workers ended before its time (is there memory for all of them?); take fewer of them"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
        if before is None:
            del os.environ[SAFE_PATH]
        else:
            os.environ[SAFE_PATH] = before


def _taken(running: list[Future[R]], ordered: bool) -> R:
    """The result of the first of `running`, or of the first that is done; it is removed from them."""
    if ordered:
        return running.pop(0).result()
    done = wait(running, return_when=FIRST_COMPLETED).done
    first = next(future for future in running if future in done)
    running.remove(first)
    return first.result()


def _refuse_modules_of_the_working_folder() -> None:
    """Before Python 3.11 a new process imports from the working folder; raise InputError where that would happen."""
    if sys.version_info >= (3, 11):
        return
    here = {path.name.partition(".")[0] for path in Path.cwd().iterdir() if path.suffix == ".py" or path.is_dir()}
    if taken := sorted(here & sys.stdlib_module_names):
        raise InputError(f"Python would run {taken[0]} of this folder in place of its own; work in another folder")


def _begin(begin: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Begin in a process that leaves Ctrl-C to the one that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    begin(*arguments)

"""SIGINT and SIGTERM end what runs for long in good order; a second Ctrl-C ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stopping(stop: Callable[[], None]) -> Iterator[None]:
    """Inside, `stop` is called for the first SIGINT or SIGTERM; afterwards both do what they did before."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread
        return

    def asked(number: int, _: FrameType | None) -> None:
        stop()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {each: signal.signal(each, asked) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)

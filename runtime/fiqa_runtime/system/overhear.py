"""What C libraries print on stderr while they work: caught, because some of them say there alone what they made up."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_STDERR = 2
_LOCK = Lock()


@contextmanager
def overhear(pattern: re.Pattern[bytes]) -> Iterator[list[bytes]]:
    """Catch what this process prints on stderr inside; at the end, lines that match `pattern` stand in the list given.

    The other lines are passed on at the end. One thread at a time is inside. Where there is no stderr nothing is heard.
    """
    heard: list[bytes] = []
    with _LOCK, tempfile.TemporaryFile() as file:
        try:
            stderr = os.dup(_STDERR)
        except OSError:  # closed, as in some daemons
            yield heard
            return
        try:
            os.dup2(file.fileno(), _STDERR)
            yield heard
        finally:
            os.dup2(stderr, _STDERR)
            os.close(stderr)
            file.seek(0)
            lines = file.readlines()
            heard += [line for line in lines if pattern.search(line)]
            if others := b"".join(line for line in lines if not pattern.search(line)):
                os.write(_STDERR, others)

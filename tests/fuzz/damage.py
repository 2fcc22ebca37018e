"""How files are damaged, and how what reads them is held to one line.

`make test` tries a few hundred cases, always the same; `make fuzz` as many as FIQA_FUZZ says, others each time.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from fiqa_runtime.errors import FiqaError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("FIQA_FUZZ", "0"))
"""Cases that `make fuzz` asks for, over all of :data:`SHARES`."""
SHARES = {"images": 40, "cards": 25, "onnx": 40, "checkpoints": 12, "texts": 60, "commands": 40, "detectors": 2}
"""Cases of each kind in `make test`; `make fuzz` keeps the proportions."""
SECONDS = 120
"""A case that takes longer hangs."""
OUTCOMES: Counter[str] = Counter()
"""What became of the cases of this process, for the summary."""


def cases(kind: str) -> settings:
    """How many examples of `kind` hypothesis makes, and whether always the same."""
    count = SHARES[kind] if not CASES else max(1, CASES * SHARES[kind] // sum(SHARES.values()))
    return settings(
        max_examples=count,
        derandomize=not CASES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )


def is_done_or_one_line(action: Callable[[], Any]) -> Any:
    """Run `action`: what it returns, or None where it raises a FiqaError of one line. Anything else is a fault."""
    with in_time():
        try:
            found = action()
        except FiqaError as error:
            assert "\n" not in str(error)
            assert str(error)
            OUTCOMES["refused in one line"] += 1
            return None
    OUTCOMES["done"] += 1
    return found


@contextmanager
def in_time() -> Iterator[None]:
    """Fail where the body takes longer than :data:`SECONDS`, where the system can tell."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def hangs(*_: object) -> None:
        raise AssertionError(f"a case takes more than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


Edit = Callable[[bytes], bytes]
_VALUES = (
    b"\x00",
    b"\x01",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\x00\x00\x00\x00",
    b"\xff\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"[",
    b'"',
)


@st.composite
def edits(draw: st.DrawFn) -> Edit:
    """One thing that goes wrong in a file: a bit, some bytes, a piece that is missing, doubled or moved."""
    place, length = draw(st.floats(0, 1)), draw(st.integers(1, 64))
    what = draw(st.sampled_from(["bit", "value", "cut", "drop", "double", "insert", "end"]))
    value, bit = draw(st.sampled_from(_VALUES) | st.binary(min_size=1, max_size=8)), draw(st.integers(0, 7))

    def edit(data: bytes) -> bytes:
        at = int(place * max(len(data) - 1, 0))
        if what == "bit" and data:
            return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
        if what == "value":
            return data[:at] + value + data[at + len(value) :]
        if what == "cut":
            return data[:at]
        if what == "drop":
            return data[:at] + data[at + length :]
        if what == "double":
            return data[:at] + data[at : at + length] * 2 + data[at + length :]
        if what == "insert":
            return data[:at] + value + data[at:]
        return data + value

    return edit


@st.composite
def damaged(draw: st.DrawFn, samples: Mapping[str, bytes]) -> tuple[str, bytes]:
    """The name of one of `samples`, and its content after one to four :func:`edits`; one in eight is random bytes."""
    name = draw(st.sampled_from(sorted(samples)))
    data = samples[name]
    if draw(st.integers(0, 7)) == 0:
        return name, draw(st.binary(max_size=200))
    for edit in draw(st.lists(edits(), min_size=1, max_size=4)):
        data = edit(data)
    return name, data

"""Work in several processes: in order, and one line where a process dies."""

from __future__ import annotations

import os
import time

import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.runs.processes import map_in_processes

_begun: list[int] = []


def begin(factor: int) -> None:
    _begun.append(factor)


def fail_to_begin(factor: int) -> None:
    raise InputError(f"cannot begin with {factor}")


def work(piece: int) -> tuple[int, int]:
    time.sleep(0.02 if piece % 2 else 0)
    if piece == 13:
        raise InputError("13 is refused")
    return piece * _begun[0], os.getpid()


def die_in_a_child(piece: int) -> None:
    os.kill(os.getpid(), 9)


def test_results_come_in_order_from_other_processes() -> None:
    found = list(map_in_processes(work, range(12), 2, begin, (10,)))
    assert [value for value, _ in found] == [10 * piece for piece in range(12)]
    assert os.getpid() not in {process for _, process in found}


def test_errors_come_back() -> None:
    with pytest.raises(InputError, match="13 is refused"):
        list(map_in_processes(work, range(10, 20), 2, begin, (1,)))


def test_a_process_that_dies_is_one_line() -> None:
    with pytest.raises(InputError, match="a process of --workers ended before its time"):
        list(map_in_processes(die_in_a_child, [1], 1, begin, (1,)))

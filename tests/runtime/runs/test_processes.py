"""Work in several processes: in order or as it is done, and one line where a process dies."""

from __future__ import annotations

import os
import time
from pathlib import Path

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


def wait_for_marker(piece: tuple[int, Path]) -> int:
    number, marker = piece
    while number == 0 and not marker.exists():
        time.sleep(0.01)
    return number


def test_results_come_as_they_are_done_where_no_order_is_asked_for(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    pieces = [(number, marker) for number in range(12)]
    results = map_in_processes(wait_for_marker, pieces, 2, begin, (1,), ordered=False)
    first = next(results)  # while the first piece still waits
    marker.touch()
    assert first != 0
    assert sorted([first, *results]) == list(range(12))


def test_errors_come_back() -> None:
    with pytest.raises(InputError, match="13 is refused"):
        list(map_in_processes(work, range(10, 20), 2, begin, (1,)))


def test_a_process_that_dies_is_one_line() -> None:
    with pytest.raises(InputError, match="a process of --workers ended before its time"):
        list(map_in_processes(die_in_a_child, [1], 1, begin, (1,)))

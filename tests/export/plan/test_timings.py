"""Timings of the builder, kept in the user cache for the next build."""

from __future__ import annotations

from pathlib import Path

import pytest
from fiqa_export.plan.builder import timing_cache_path
from fiqa_runtime.backends.cuda.driver import Gpu
from fiqa_runtime.errors import InputError, UnsupportedError

from tests.help.gpu.fake_trt_builder import (
    CACHE,
)
from tests.help.gpu.plan_workshop import Open, Workshop


def cache_of(here: Workshop) -> Path:
    path = timing_cache_path(Gpu(here.machine.gpu.name, "8.7", "12.6", False), "10.3.0")
    assert path
    return Path(path)


def test_timings_are_kept_per_gpu_and_version(workshop: Open) -> None:
    here = workshop()
    here.build()
    assert here.seen.caches == [b""]
    assert cache_of(here).read_bytes() == CACHE + b"Fake Orin:."
    here.build()
    assert here.seen.caches[1] == CACHE + b"Fake Orin:.", "not begun with what is kept"
    assert here.seen.combined == [CACHE + b"Fake Orin:."]
    assert cache_of(here).read_bytes() == CACHE + b"Fake Orin:.."
    name = "fake-orin-8.7-tensorrt-10.3.0.cache"
    assert {path.name for path in cache_of(here).parent.iterdir()} == {name, f"{name}.lock"}


@pytest.mark.parametrize("kept", [b"garbage", CACHE + b"Other GPU:."])
def test_damaged_and_foreign_timings_are_replaced(workshop: Open, kept: bytes) -> None:
    here = workshop()
    cache_of(here).write_bytes(kept)
    here.build()
    assert here.seen.caches[:2] == [kept, b""]
    assert here.seen.combined == []
    assert cache_of(here).read_bytes() == CACHE + b"Fake Orin:."
    cache_of(here).write_bytes(b"garbage")
    here.seen.faults.build = ["Error Code 10: Internal Error (no kernel)"]
    with pytest.raises(UnsupportedError, match="Error Code 10"):
        here.build()


def test_something_in_the_place_of_the_timings(workshop: Open) -> None:
    here = workshop()
    cache_of(here).mkdir()
    with pytest.raises(InputError, match=r"cannot keep .*cache \(Is a directory\); set XDG_CACHE_HOME to another"):
        here.build()
    here.check_nothing_left()


def test_timings_that_cannot_be_kept_cost_no_plan(workshop: Open, tmp_path: Path) -> None:
    here = workshop()
    (tmp_path / "cache").write_text("no folder")
    here.build()
    assert here.plan.is_file()


def test_a_failed_build_keeps_no_timings(workshop: Open) -> None:
    here = workshop()
    here.seen.faults.build = ["Error Code 10: Internal Error (no kernel)"]
    with pytest.raises(UnsupportedError):
        here.build()
    assert not cache_of(here).exists()

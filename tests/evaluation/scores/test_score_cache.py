"""The score cache: what was scored is never scored again, also after a crash, and nothing else is reused."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fiqa_evaluation.scores.score_cache import ScoreCache, score_images
from fiqa_runtime.errors import InputError


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Ten files of different bytes."""
    paths = [tmp_path / f"{index}.png" for index in range(10)]
    for index, path in enumerate(paths):
        path.write_bytes(bytes([index]) * 10)
    return paths


class Counter:
    """Scores a file by its first byte; remembers what it was asked, and fails once it has given `limit` scores."""

    def __init__(self, limit: int = 1000) -> None:
        self.asked: list[str] = []
        self.limit = limit

    def __call__(self, paths: Sequence[Path]) -> list[float]:
        if len(self.asked) + len(paths) > self.limit:
            raise KeyboardInterrupt
        self.asked += [path.name for path in paths]
        return [path.read_bytes()[0] / 3 for path in paths]


def test_a_cut_run_goes_on_where_it_stopped(tmp_path: Path, images: list[Path]) -> None:
    with ScoreCache(tmp_path / "c.sqlite", "engine") as cache, pytest.raises(KeyboardInterrupt):
        score_images(images, cache, Counter(limit=7), batch=3)
    rest = Counter()
    with ScoreCache(tmp_path / "c.sqlite", "engine") as cache:
        scores = score_images(images, cache, rest, batch=3)
        assert rest.asked == [path.name for path in images[6:]]
        assert scores.tolist() == [index / 3 for index in range(10)]
        idle = Counter()
        assert score_images(images[::-1], cache, idle).tolist() == scores.tolist()[::-1]
        assert idle.asked == []


KILLED = """
import os, signal, sys
from pathlib import Path
from fiqa_evaluation.scores.score_cache import ScoreCache
cache = ScoreCache(Path(sys.argv[1]), "engine")
cache.put({f"kept{i}": i for i in range(50)})
cache._connection.execute("PRAGMA cache_size = 1")
cache._connection.execute("BEGIN")
rows = [(f"lost{i}", "engine", "", 1.0) for i in range(5000)]
cache._connection.executemany("INSERT INTO scores VALUES (?, ?, ?, ?)", rows)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_process_killed_while_writing_loses_only_what_it_was_writing(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "c.sqlite-journal").exists(), "the kill left no half-written change: nothing is tested"
    with ScoreCache(path, "engine") as cache:
        assert cache.get([f"kept{i}" for i in range(50)]) == {f"kept{i}": float(i) for i in range(50)}
        assert cache.get([f"lost{i}" for i in range(5000)]) == {}
        cache.put({"more": 1.0})


def test_equal_bytes_are_scored_once_and_changed_bytes_again(tmp_path: Path, images: list[Path]) -> None:
    images[1].write_bytes(images[0].read_bytes())
    score = Counter()
    with ScoreCache(tmp_path / "c.sqlite", "engine") as cache:
        assert score_images(images[:3], cache, score).tolist() == [0, 0, 2 / 3]
        assert len(score.asked) == 2
        images[2].write_bytes(b"\x09")
        assert score_images(images[:3], cache, score).tolist() == [0, 0, 3]


@pytest.mark.parametrize(("engine", "setup"), [("other", "opencv"), ("engine", "onnxruntime")])
def test_another_engine_or_setup_shares_nothing(tmp_path: Path, engine: str, setup: str) -> None:
    with ScoreCache(tmp_path / "c.sqlite", "engine", "opencv") as cache:
        cache.put({"a": 0.5})
    with ScoreCache(tmp_path / "c.sqlite", engine, setup) as cache:
        assert cache.get(["a"]) == {}
        cache.put({"a": 0.25})
    with ScoreCache(tmp_path / "c.sqlite", "engine", "opencv") as cache:
        assert cache.get(["a"]) == {"a": 0.5}


def test_scores_come_back_bit_by_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(1200).astype(np.float32)
    with ScoreCache(tmp_path / "c.sqlite", "engine") as cache:
        cache.put({str(i): float(value) for i, value in enumerate(values)})
        found = cache.get([str(i) for i in range(1200)])
    assert [found[str(i)] for i in range(1200)] == values.tolist()


def test_several_writers_share_a_file(tmp_path: Path) -> None:
    def write(worker: int) -> None:
        with ScoreCache(tmp_path / "c.sqlite", "engine") as cache:
            for index in range(20):
                cache.put({f"{worker}-{index}": worker})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with ScoreCache(tmp_path / "c.sqlite", "engine") as cache:
        assert len(cache.get([f"{w}-{i}" for w in range(4) for i in range(20)])) == 80


@pytest.mark.parametrize("score", [math.nan, math.inf])
def test_a_score_that_is_no_number_is_refused(tmp_path: Path, score: float) -> None:
    with ScoreCache(tmp_path / "c.sqlite", "engine") as cache:
        with pytest.raises(InputError, match="the score of image bad"):
            cache.put({"good": 1.0, "bad": score})
        assert cache.get(["good", "bad"]) == {}


def test_files_that_are_no_cache_are_named(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.sqlite"
    damaged.write_bytes(b"not a database, but long enough to look like one " * 100)
    for path in (damaged, tmp_path / "none" / "c.sqlite"):
        with pytest.raises(InputError, match="delete it or name another file") as caught:
            ScoreCache(path, "engine")
        assert "\n" not in str(caught.value)


def test_a_missing_image_is_named(tmp_path: Path, images: list[Path]) -> None:
    with ScoreCache(tmp_path / "c.sqlite", "engine") as cache, pytest.raises(InputError, match=r"none\.png"):
        score_images([*images, tmp_path / "none.png"], cache, Counter())


def test_no_images_give_no_scores(tmp_path: Path) -> None:
    with ScoreCache(tmp_path / "c.sqlite", "engine") as cache:
        assert score_images([], cache, Counter()).shape == (0,)

"""Crops of several requests in one batch, and what each of them gets back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.backends.base import Arrays, Inputs
from fiqa_runtime.errors import ArtefactError, InputError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.canaries import tolerance
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.serve.batcher import Batcher
from fiqa_runtime.serve.counters import Counters

from tests.help.limits import HANGS
from tests.help.servers.served import HeldBackend
from tests.help.threads import in_threads

CROPS = [seeded_image(index, 112, 112) for index in range(24)]


@pytest.fixture(scope="module")
def backend(seeded_engine: Path) -> HeldBackend:
    return HeldBackend(seeded_engine, read_card(seeded_engine))


@pytest.fixture
def batcher(seeded_engine: Path, backend: HeldBackend) -> Iterator[Batcher]:
    """One whose batches wait for `backend.free`."""
    backend.free.set()
    opened = Batcher(Scorer(seeded_engine, backend), Counters())
    backend.sizes.clear()
    yield opened
    backend.free.set()
    opened.close()


def hold(batcher: Batcher, backend: HeldBackend) -> None:
    """Keep the batcher busy with one crop."""
    while backend.began.acquire(blocking=False):
        pass
    backend.free.clear()
    batcher.submit(CROPS[:1])
    assert backend.began.acquire(timeout=HANGS)


def test_what_waits_is_scored_together(batcher: Batcher, backend: HeldBackend, scorer: Scorer) -> None:
    hold(batcher, backend)
    futures = [batcher.submit(CROPS[at : at + 8]) for at in (0, 8, 16)]
    one = batcher.submit(CROPS[3:4])
    backend.free.set()
    found = np.concatenate([each.result(HANGS)["score"] for each in futures])[:, 0]
    assert backend.sizes == [1, 25]
    allowed = tolerance(scorer.card)["score"]
    assert np.abs(found - scorer.score(CROPS)).max() <= allowed
    assert abs(one.result(HANGS)["score"][0, 0] - found[3]) <= allowed


def test_a_batch_is_never_above_the_cards_limit(batcher: Batcher, backend: HeldBackend) -> None:
    hold(batcher, backend)
    futures = [batcher.submit(CROPS[:count]) for count in (20, 10, 4, 24, 24)]
    backend.free.set()
    assert [len(each.result(HANGS)["score"]) for each in futures] == [20, 10, 4, 24, 24]
    assert backend.sizes == [1, 30, 28, 24]


def test_what_was_given_up_is_not_scored(batcher: Batcher, backend: HeldBackend) -> None:
    hold(batcher, backend)
    given_up, wanted = batcher.submit(CROPS[:5]), batcher.submit(CROPS[:2])
    assert given_up.cancel()
    backend.free.set()
    wanted.result(HANGS)
    assert backend.sizes == [1, 2]


def test_more_crops_than_a_batch_from_a_photo(batcher: Batcher, backend: HeldBackend, scorer: Scorer) -> None:
    many = [CROPS[index % len(CROPS)] for index in range(40)]
    np.testing.assert_array_equal(batcher.score(many), scorer.score(many))
    assert backend.sizes == [32, 8] and batcher.score([]).shape == (0,)


def test_every_thread_gets_its_own_scores(batcher: Batcher, scorer: Scorer) -> None:
    right = scorer.score(CROPS)
    allowed = tolerance(scorer.card)["score"]

    def ask(index: int) -> None:
        for shift in range(6):
            at = (5 * index + shift) % 20
            assert np.abs(batcher.score(CROPS[at : at + 3]) - right[at : at + 3]).max() <= allowed

    assert in_threads(8, ask) == []


class Failing(HeldBackend):
    """Fails, or gives what is not a score, as `how` says."""

    how: Arrays | Exception

    def run(self, inputs: Inputs) -> Arrays:
        if isinstance(self.how, Exception):
            raise self.how
        return self.how


@pytest.mark.parametrize(
    "how",
    [ArtefactError("broken"), {"score": np.array([[np.nan]], np.float32)}, {"score": np.zeros((3, 1), np.float32)}],
    ids=["fails", "not a number", "another shape"],
)
def test_a_failing_engine_is_told_and_the_next_request_is_scored(seeded_engine: Path, how: Arrays | Exception) -> None:
    backend = Failing(seeded_engine, read_card(seeded_engine))
    opened = Batcher(Scorer(seeded_engine, backend), Counters())
    backend.how = how
    for _ in range(2):
        with pytest.raises(ArtefactError):
            opened.score(CROPS[:1])
    backend.how = {"score": np.array([[0.5]], np.float32)}
    assert opened.score(CROPS[:1]).tolist() == [0.5]
    opened.close()
    with pytest.raises(InputError, match="being stopped"):
        opened.score(CROPS[:1])


def test_the_end_comes_after_what_waits(seeded_engine: Path, backend: HeldBackend) -> None:
    opened = Batcher(Scorer(seeded_engine, backend), Counters())
    hold(opened, backend)
    futures = [opened.submit(CROPS[:20]) for _ in range(3)]
    backend.free.set()
    opened.close()
    assert all(len(each.result(0)["score"]) == 20 for each in futures)

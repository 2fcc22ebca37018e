"""What a server works with: one artefact, a way to find faces, and the count of requests under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from typing import TypeVar

from fiqa_runtime.errors import FiqaError, VerdictError
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.faces.portrait_quality import PortraitQuality
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import SelfTest, self_test
from fiqa_runtime.serve.batcher import Batcher
from fiqa_runtime.serve.bodies import Bodies
from fiqa_runtime.serve.counters import Counters
from fiqa_runtime.serve.limits import Limits
from fiqa_runtime.serve.photos import Assessor
from fiqa_runtime.serve.problems import ProblemError
from fiqa_runtime.serve.tensors import signature_of
from fiqa_runtime.system.host import own_groups, usable_cores

T = TypeVar("T")
WORKERS = (2, 8)
"""Fewest and most photos that are decoded and searched at once; between them, one for each core."""


class Service:
    """The scorer behind a batcher, threads for photos, limits and counters.

    `assessor` finds and scores the faces of photos with `scorer`; its crops are scored together with those of other
    requests. `close` answers what is under way.
    """

    def __init__(self, scorer: Scorer, assessor: FaceQuality | PortraitQuality, limits: Limits) -> None:
        self.card = scorer.card
        self.signature = signature_of(scorer.card)
        self.limits = limits
        self.counters = Counters()
        self.bodies = Bodies(limits)
        self.batcher = Batcher(scorer, self.counters)
        self.assessor: Assessor = assessor
        if isinstance(assessor, FaceQuality):
            self.assessor = FaceQuality(self.batcher, assessor.detector, assessor.align)
        self.ready = False
        """Whether the self-test has passed."""
        self.under_way = 0
        """Requests that were admitted and are not answered."""
        self.counters.watch("ready", "1 once the self-test has passed.", lambda: self.ready)
        self.counters.watch("under_way", "Requests that are worked on or wait for it.", lambda: self.under_way)
        self._scorer = scorer
        fewest, most = WORKERS
        self._pool = ThreadPoolExecutor(min(max(int(usable_cores(own_groups())), fewest), most), "photos")

    def check(self) -> SelfTest:
        """Score the canaries; from then on requests are answered. Raises VerdictError where they are missed."""
        result = self_test(self._scorer)
        if not result.passed:
            raise VerdictError(f"{self._scorer.path}: {result}; nothing is served, export it again")
        self.ready = True
        return result

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """A place among the requests under way; raises ProblemError where none is left. For one event loop."""
        if self.under_way >= self.limits.requests:
            told = f"{self.under_way} requests are under way already"
            raise ProblemError(HTTPStatus.TOO_MANY_REQUESTS, told, retry=True)
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    def check_ready(self) -> None:
        """Raise ProblemError before the self-test has passed."""
        if not self.ready:
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "the self-test is not done", retry=True)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """What `work` returns, from a thread that may be kept busy; raises ProblemError as :meth:`in_time` does."""
        return await self.in_time(self._pool.submit(work))

    async def in_time(self, future: Future[T]) -> T:
        """What `future` gives; raises ProblemError where that takes too long, or where the engine fails."""
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self.limits.seconds)
        except asyncio.TimeoutError as error:
            told = f"it took longer than {self.limits.seconds:g} seconds"
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, told, retry=True) from error
        except MemoryError as error:
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "there is not enough memory", retry=True) from error
        except FiqaError as error:
            raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, f"the engine failed: {error}") from error

    def close(self) -> None:
        """End the threads, after what they have begun."""
        self._pool.shutdown(cancel_futures=True)
        self.batcher.close()

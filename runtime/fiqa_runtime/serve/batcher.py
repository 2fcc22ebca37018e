"""Crops of several requests scored together: while one batch runs, the next one gathers."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import output_of
from fiqa_runtime.errors import ArtefactError, InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.serve.counters import Counters

Outputs: TypeAlias = dict[str, NDArray[np.float32]]
"""Every output of the network by name, the first side being that of the batch."""


@dataclass(frozen=True, eq=False)
class _Job:
    crops: Sequence[Image]
    vectors: NDArray[np.float32] | None
    future: Future[Outputs] = field(default_factory=Future)


class Batcher:
    """Scores crops for any number of threads, in batches of at most ``card.max_batch`` from several of them.

        scores = Batcher(scorer, Counters()).score(crops)       # uint8 BGR crops -> float32 (N,)

    What is asked for in one call stays in one batch where it fits. Nothing waits for others to come: a batch is what
    has gathered while the one before it ran.
    """

    def __init__(self, scorer: Scorer, counters: Counters) -> None:
        self.card: Card = scorer.card
        self._scorer = scorer
        self._counters = counters
        self._jobs: deque[_Job] = deque()
        self._change = Condition()
        self._closing = False
        self._thread = Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    def submit(self, crops: Sequence[Image], vectors: NDArray[np.float32] | None = None) -> Future[Outputs]:
        """Every output for uint8 BGR crops, of which there must be one at least; `vectors` as for ``Scorer.outputs``.

        All crops have to be of the network's size: one that the network refuses would take its batch along.
        """
        job = _Job(crops, vectors)
        with self._change:
            if self._closing:
                raise InputError("the server is being stopped; ask another one")
            self._jobs.append(job)
            self._change.notify()
        return job.future

    def score(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """uint8 BGR crops -> float32 (N,), higher is better; raises ArtefactError where a score is not finite."""
        if not len(crops):
            return np.empty(0, np.float32)
        return scores_in(self.submit(crops).result(), self.card)

    def close(self) -> None:
        """Score what waits, and end."""
        with self._change:
            self._closing = True
            self._change.notify()
        self._thread.join()

    def _work(self) -> None:
        while batch := self._next():
            jobs = [job for job in batch if job.future.set_running_or_notify_cancel()]
            if not jobs:
                continue
            try:
                found = self._run(jobs)
            except Exception as error:  # whatever it is, the threads that wait have to hear of it
                for job in jobs:
                    job.future.set_exception(error)
                continue
            for job, outputs in zip(jobs, found, strict=True):
                job.future.set_result(outputs)

    def _next(self) -> list[_Job]:
        """The jobs of the next batch; empty at the end."""
        with self._change:
            self._change.wait_for(lambda: self._jobs or self._closing)
            batch: list[_Job] = []
            room = self.card.max_batch
            while self._jobs and (not batch or len(self._jobs[0].crops) <= room):
                batch.append(self._jobs.popleft())
                room -= len(batch[-1].crops)
            return batch

    def _run(self, jobs: Sequence[_Job]) -> list[Outputs]:
        crops = [crop for job in jobs for crop in job.crops]
        given = [job.vectors for job in jobs if job.vectors is not None]
        found = self._scorer.outputs(crops, np.concatenate(given) if given else None)
        self._counters.count_batch(len(crops))
        for name, values in found.items():
            if len(values) != len(crops):
                raise ArtefactError(f"'{name}' has shape {values.shape} for {len(crops)} crops; export it again")
        ends = np.cumsum([len(job.crops) for job in jobs]).tolist()
        starts = [0, *ends[:-1]]
        return [
            {name: values[start:end] for name, values in found.items()} for start, end in zip(starts, ends, strict=True)
        ]


def scores_in(outputs: Outputs, card: Card) -> NDArray[np.float32]:
    """The scores (N,) among the outputs of a quality network; raises ArtefactError where one is not finite."""
    name = output_of("score", card.outputs)
    if name is None:
        raise InputError(f"{card.model} gives no quality scores; name an artefact of a quality network")
    scores = outputs[name].reshape(-1)
    if not np.isfinite(scores).all():
        raise ArtefactError(f"{card.model} gave a score that is not a number; run fiqa-score --self-test on it")
    return scores

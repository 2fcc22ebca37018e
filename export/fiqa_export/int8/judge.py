"""Judges int8 mixtures: compares each with the fp32 file, on images to which nothing was fitted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from fiqa_calibration.activations import Inputs
from fiqa_calibration.mixture_search import Judged
from fiqa_calibration.parity_set import ParitySet
from fiqa_runtime.artefact.facts import Budget
from fiqa_runtime.artefact.spec import OutputSpec
from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.system.progress import Report

from fiqa_export.int8.calibration import (
    Feed,
    ImagePart,
    open_session,
)
from fiqa_export.verdict.parity import Parity, compare, flip_failures


class MixtureJudge:
    """Compares int8 files with the fp32 file in ONNX Runtime, on the parity set and on the user's images."""

    def __init__(
        self,
        fp32: Path,
        parity: ParitySet,
        judging: ImagePart | None,
        feed: Feed,
        outputs: Sequence[OutputSpec],
        budget: Budget,
        report: Report,
    ) -> None:
        self._parity, self._judging, self._feed = parity, judging, feed
        self._outputs, self._budget = outputs, budget
        self._report = report
        self._expected = self._run(fp32, "run the fp32 network")

    def __call__(self, int8: Path) -> Judged:
        """The verdict on the parity set. The calibration images are judged too; the lines of their failures say so.

        Flips are counted over all images together, because a hundred images alone are too few to measure one per cent.
        """
        actual = self._run(int8, "judge a mixture")
        verdict = self._compare(0, actual, self._budget)
        failures = list(verdict.failures)
        if self._judging is not None:
            other = self._compare(1, actual, replace(self._budget, flips=1.0))
            failures += [f"calibration images: {line}" for line in other.failures]
            both = [parity.score for parity in (verdict, other) if parity.score is not None]
            failures += [f"with calibration images: {line}" for line in flip_failures(both, self._budget)]
        score = verdict.score
        quality = score.srcc if score is not None else float(np.min(list(verdict.correlation.values()) or [np.nan]))
        facts = {"max_abs": max(verdict.max_abs.values())} | ({"flips": score.flips[0.10]} if score is not None else {})
        return Judged(quality, tuple(failures), facts)

    def _compare(self, index: int, actual: Sequence[Sequence[Arrays]], budget: Budget) -> Parity:
        return compare(self._expected[index], actual[index], self._outputs, budget)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of everything that mixtures are compared with."""
        digest = hashlib.sha256(repr(self._budget).encode())
        for outputs in (image for images in self._expected for image in images):
            for name, values in outputs.items():
                digest.update(name.encode() + np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    def _run(self, network: Path, what: str) -> list[list[Arrays]]:
        """Outputs of `network` for the parity set and, where there are calibration images, for their judging half."""
        session = open_session(network)
        names = [output.name for output in self._outputs]
        sets: list[Iterable[Inputs]] = [(self._feed(image) for image, _ in self._parity)]
        total = len(self._parity)
        if self._judging is not None:
            sets.append(self._judging)
            total += len(self._judging)
        found: list[list[Arrays]] = [[] for _ in sets]
        for outputs, feeds in zip(found, sets, strict=True):
            for inputs in feeds:
                self._report(what, sum(map(len, found)), total)
                outputs.append(dict(zip(names, session.run(names, dict(inputs)), strict=True)))
        self._report(what, total, total)
        return found

"""The whole int8 step: calibration images or a file of ranges -> an int8 artefact within its budget.

result = int8_step(reference, fp32, int8, "folder/of/crops", parity_set, INT8.budget, cache)
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from fiqa_calibration.activations import Inputs
from fiqa_calibration.mixture_search import Judged, SearchResult
from fiqa_calibration.parity_set import ParitySet
from fiqa_calibration.ranges import Ranges
from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.console import Report, silent
from fiqa_runtime.errors import InputError
from fiqa_runtime.files import sha256_file
from fiqa_runtime.preprocess import Image
from fiqa_runtime.spec import OutputSpec

from fiqa_export.artefact import files_of, versions
from fiqa_export.calibrate import (
    Feed,
    Half,
    Images,
    calibration_images,
    measured,
    one_crop,
    open_session,
    predicted,
    rounding,
    write_base,
)
from fiqa_export.models import Reference
from fiqa_export.parity import Parity, compare, flip_failures
from fiqa_export.recipe import Budget
from fiqa_export.tensors import graph_inputs
from fiqa_export.to_int8 import Int8Result, by_node, to_int8


def int8_step(
    reference: Reference,
    fp32: Path,
    int8: Path,
    calib: str,
    parity: ParitySet,
    budget: Budget,
    cache: Path,
    report: Report = silent,
) -> Int8Result:
    """Write the int8 version of the ONNX file `fp32`, which `reference` was exported to, to `int8`.

    `calib` is a folder of photos or crops, a ``.json`` file of ranges (see below), or `seeded` for seeded images. On
    the images of `parity`, and for other networks than detectors on the half of the calibration images that nothing is
    fitted to, every mixture of int8 and float32 is held against `budget`.

    The manifest of the calibration images (names, SHA-256, scores) is ``<name>.calibration.json`` beside `int8`.
    What calibration finds, without faces, is in `cache` once a mixture is within the budget, before that in
    ``.part.json`` beside it. Given as `calib` either serves the same fp32 file again, with what images alone can give
    left out: weights are then rounded to the nearest level and biases stay. In ``.search.json`` stand the mixtures
    judged so far. After an interruption the same call goes on where it was.

    Where no mixture is within `budget`, `int8` is the best one found: ask ``result.search.require()``. Raises
    InputError where `calib` is missing, holds fewer than 32 usable images or belongs to another network, FetchError
    where photos need a detector that is not here, ArtefactError where the fp32 network overflows, UnsupportedError for
    an operator that gradients cannot be computed through.
    """
    base = fp32.with_name(f".{fp32.name}.base.onnx")
    part, journal = _part(cache), cache.with_suffix(".search.json")

    def feed(image: Image) -> Inputs:
        return graph_inputs(reference, one_crop(image, reference.spec))

    try:
        ranges, images = _calibrated(reference, fp32, base, calib, cache, feed, report)
        fit = rounding(base, reference.spec, images, report) if images is not None else None
        judging = images.judging() if images is not None and reference.spec.task != "detection" else None
        judge = _Judge(fp32, parity, judging, feed, reference.spec.outputs, budget, report)
        key = f"{ranges.digest} {fit is not None} {judge.digest} {versions()}"
        found = to_int8(fp32, base, int8, ranges, fit, reference.calibration_size, judge, journal, key, report)
    finally:
        for name in files_of(base):
            base.with_name(name).unlink(missing_ok=True)
    if found.chosen.passed:
        journal.unlink(missing_ok=True)
        if images is not None:
            replace(ranges, kept=found.chosen.kept).save(cache)
            part.unlink(missing_ok=True)
    if images is not None:
        images.whole.save(int8.with_name(f"{reference.spec.name}.calibration.json"))
    return _result(found, ranges, images)


def _result(found: SearchResult, ranges: Ranges, images: Images | None) -> Int8Result:
    facts = found.chosen.judged.facts
    return Int8Result(
        search=found,
        kept=by_node(found.chosen.kept),
        mac_share=facts["mac_share"],
        bytes_share=facts["bytes_share"],
        methods=dict(Counter(ranges.methods.values())),
        equalised=len(ranges.channels),
        fitted=images is not None,
        images=ranges.images,
        calibration=ranges.calibration,
        warning=images.whole.warning if images is not None else None,
        left_out={k: len(v) for k, v in asdict(images.whole.left_out).items()} if images is not None else None,
    )


def _calibrated(
    reference: Reference, fp32: Path, base: Path, calib: str, cache: Path, feed: Feed, report: Report
) -> tuple[Ranges, Images | None]:
    """Ranges, from a file where there is one; images where they are given. Writes `base`."""
    model = sha256_file(fp32)
    if calib.endswith(".json"):
        shipped = Ranges.load(Path(calib), model)
        write_base(fp32, base, shipped.channels)
        return shipped, None
    images = calibration_images(calib, reference.spec, reference.calibration_size, fp32, feed, report)
    part = _part(cache)
    ranges = _cached(part, model, images.whole.sha256) or _cached(cache, model, images.whole.sha256)
    if ranges is not None:
        write_base(fp32, base, ranges.channels)
    else:
        ranges = measured(fp32, base, images, report)
        ranges.save(part)
    if not ranges.methods:
        ranges = predicted(ranges, base, images, report)
        ranges.save(part)
    return ranges, images


def _part(cache: Path) -> Path:
    """Where ranges stand while `cache` may still belong to an earlier artefact."""
    return cache.with_suffix(".part.json")


def _cached(cache: Path, model: str, calibration: str) -> Ranges | None:
    """What an earlier run measured on the same network and images."""
    if not cache.exists():
        return None
    try:
        return Ranges.load(cache, model, calibration)
    except InputError:
        return None


class _Judge:
    """Holds int8 files against the fp32 file, on ONNX Runtime: on the parity set, and on images of the user's."""

    def __init__(
        self,
        fp32: Path,
        parity: ParitySet,
        judging: Half | None,
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
        """The verdict on the parity set; the other images may fail it, and are then named in the failures.

        Flips are counted over all images together: a hundred alone resolve no percent.
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
        """Of everything that mixtures are held against."""
        digest = hashlib.sha256(repr(self._budget).encode())
        for outputs in (image for images in self._expected for image in images):
            for name, values in outputs.items():
                digest.update(name.encode() + np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    def _run(self, network: Path, what: str) -> list[list[Arrays]]:
        """Outputs of `network` for the parity set, and for the judging half of the calibration images if there are."""
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

"""The int8 step: makes an int8 artefact within its budget, from calibration images or from a file of ranges.

conversion = int8_step(reference, fp32, int8, Int8Order("folder/of/crops", parity_set, INT8.budget, out))
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from fiqa_calibration.activations import Inputs
from fiqa_calibration.mixture_search import EvaluatedMixture, SearchResult
from fiqa_calibration.parity_set import ParitySet
from fiqa_calibration.ranges import Ranges
from fiqa_runtime.artefact.facts import Budget, Int8Conversion
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.scoring.agreement import json_number
from fiqa_runtime.system.files import sha256_of
from fiqa_runtime.system.progress import Report, silent

from fiqa_export.graph.files import files_of, size_of
from fiqa_export.graph.loading import open_graph
from fiqa_export.int8.calibration import (
    Feed,
    Images,
    calibration_images,
    measured,
    one_crop,
    predicted,
    rounding,
    write_base,
)
from fiqa_export.int8.judge import MixtureJudge
from fiqa_export.int8.mixtures import by_node, to_int8
from fiqa_export.int8.picture import draw_pareto
from fiqa_export.models import Reference
from fiqa_export.models.inputs import graph_inputs
from fiqa_export.publishing import versions


@dataclass(frozen=True)
class Int8Order:
    """What an int8 artefact is made from and judged by, and where to put what outlasts the export."""

    calib: str
    """A folder of photos or crops, a file of ranges, or `seeded`."""
    images: ParitySet
    """Images on which every mixture is judged."""
    budget: Budget
    """What int8 may change."""
    out: Path
    """Folder for the picture of the search and for the ranges, which outlast an interrupted export."""
    keep_failed: bool = False
    """Whether the best mixture is kept where none is within the budget."""


@dataclass(frozen=True)
class Int8Result:
    """What :func:`write_int8` did."""

    search: SearchResult
    """The mixtures tried. Their facts include `bytes`, `bytes_share` (of the size of the fp32 file) and `mac_share`."""
    conversion: Int8Conversion
    """What the card says of the one that was written."""


def int8_step(
    reference: Reference, fp32: Path, int8: Path, order: Int8Order, report: Report = silent
) -> Int8Conversion:
    """Write `int8` as :func:`write_int8` does, and draw the search to ``out/<name>.int8.png``.

    Returns what the card says of it.

    Raises what :func:`write_int8` raises, and VerdictError where no mixture is within the budget and the best one is
    not to be kept.
    """
    name = reference.spec.name
    cache = order.out / f"{name}.ranges.json"
    result = write_int8(reference, fp32, int8, order.calib, order.images, order.budget, cache, report)
    draw_pareto(result.search, order.out / f"{name}.int8.png", f"{name}, int8")
    if not order.keep_failed:
        result.search.require()
    return result.conversion


def write_int8(
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

    `calib` is a folder of photos or crops, a ``.json`` file of ranges (see below), or `seeded` for seeded images. Every
    mixture of int8 and float32 is judged by `budget` on the images of `parity` and, except for detectors, on the half
    of the calibration images to which nothing is fitted.

    The manifest of the calibration images (names, SHA-256, scores) is ``<name>.calibration.json`` beside `int8`. What
    calibration finds, which contains no images, is in `cache` once a mixture is within the budget, and before that in
    ``.part.json`` beside it. Either file can be given as `calib` for the same fp32 file later. What only images can
    give is then missing: weights are rounded to the nearest level and biases stay. ``.search.json`` holds the mixtures
    that were judged so far, so that the same call goes on where it was interrupted.

    Where no mixture is within `budget`, `int8` is the best one found, and ``result.search.require()`` raises. Raises
    InputError where `calib` is missing, holds fewer than 32 usable images or belongs to another network, FetchError
    where photos need a detector that is not on this machine, ArtefactError where the fp32 network overflows,
    UnsupportedError for an operator that gradients cannot be computed through.
    """
    base = fp32.with_name(f".{fp32.name}.base.onnx")
    part, journal = _part(cache), cache.with_suffix(".search.json")

    def feed(image: Image) -> Inputs:
        return graph_inputs(reference, one_crop(image, reference.spec))

    try:
        ranges, images = _calibrated(reference, fp32, base, calib, cache, feed, report)
        fit = rounding(base, reference.spec, images, report) if images is not None else None
        judging = images.judging() if images is not None and reference.spec.task != "detection" else None
        judge = MixtureJudge(fp32, parity, judging, feed, reference.spec.outputs, budget, report)
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
    return Int8Result(found, _conversion(fp32, found, ranges, images))


def _conversion(fp32: Path, found: SearchResult, ranges: Ranges, images: Images | None) -> Int8Conversion:
    facts = found.chosen.judged.facts
    return Int8Conversion(
        fp32_bytes=size_of(fp32),
        nodes=len(open_graph(fp32).graph),
        kept_in_fp32=by_node(found.chosen.kept),
        mac_share=facts["mac_share"],
        bytes_share=facts["bytes_share"],
        methods=dict(Counter(ranges.methods.values())),
        equalised=len(ranges.channels),
        fitted=images is not None,
        images=ranges.images,
        calibration=ranges.calibration,
        warning=images.whole.warning if images is not None else None,
        left_out={k: len(v) for k, v in asdict(images.whole.left_out).items()} if images is not None else None,
        trials=tuple(map(_for_card, found.mixtures)),
    )


def _for_card(mixture: EvaluatedMixture) -> dict[str, bool | float | None]:
    judged = mixture.judged
    facts = {name: json_number(value) for name, value in judged.facts.items()}
    return {"kept": len(mixture.kept), "quality": json_number(judged.quality), "passed": mixture.passed, **facts}


def _calibrated(
    reference: Reference, fp32: Path, base: Path, calib: str, cache: Path, feed: Feed, report: Report
) -> tuple[Ranges, Images | None]:
    """The ranges, and the images unless `calib` is a file of ranges. Writes `base`."""
    model = sha256_of(fp32)
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
    """The file of the ranges while `cache` may still belong to an earlier artefact."""
    return cache.with_suffix(".part.json")


def _cached(cache: Path, model: str, calibration: str) -> Ranges | None:
    """What an earlier run measured on the same network and images; None where there is nothing of the kind."""
    if not cache.exists():
        return None
    try:
        return Ranges.load(cache, model, calibration)
    except InputError:
        return None

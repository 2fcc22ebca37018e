"""fp32 ONNX -> ONNX of another precision, and what a card says about the way there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiqa_calibration.candidates import FIRST_SEEDED
from fiqa_calibration.ladder import KINDS, degrade
from fiqa_calibration.parity_set import ParitySet, default_pictures, resized
from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.console import Report
from fiqa_runtime.preprocess import Image
from fiqa_runtime.seeded import rng, seeded_image

from fiqa_export.activation_ranges import activation_ranges
from fiqa_export.artefact import size_of
from fiqa_export.int8_step import int8_step
from fiqa_export.models import Reference
from fiqa_export.onnx_graph import open_graph
from fiqa_export.pareto import draw_pareto
from fiqa_export.recipe import Budget, Precision
from fiqa_export.tensors import graph_inputs
from fiqa_export.to_fp16 import to_fp16

LARGE = 10**10
"""Multiply-accumulates from which a network's ranges are measured on fewer images."""


@dataclass(frozen=True)
class Order:
    """What to make of an fp32 file."""

    precision: Precision
    """Of the artefact."""
    budget: Budget
    """int8: what it may cost."""
    images: ParitySet
    """int8: images on which that is measured."""
    calib: str | None
    """int8: folder of photos or crops, file of ranges, or `seeded`."""
    out: Path
    """int8: folder for the ranges, which outlast an interrupted export, and for the picture of the search."""
    keep_failed: bool
    """int8: whether the best mixture is kept where none is within the budget."""


def convert(reference: Reference, fp32: Path, order: Order, report: Report) -> tuple[Path, dict[str, Any]]:
    """The artefact that `order` makes of `fp32`, in the same folder, and plain data on the conversion.

    Raises what :func:`fiqa_export.to_fp16.to_fp16` and :func:`fiqa_export.int8_step.int8_step` raise, and VerdictError
    where no int8 mixture is within the budget and the best one is not to be kept.
    """
    if order.precision == "fp32":
        return fp32, {}
    artefact = fp32.with_name(f"{reference.spec.name}.{order.precision}.onnx")
    facts = {"fp32_bytes": size_of(fp32), "nodes": len(open_graph(fp32).graph)}
    if order.precision == "fp16":
        return artefact, {**facts, **_fp16(reference, fp32, artefact, report)}
    return artefact, {**facts, **_int8(reference, fp32, artefact, order, report)}


def _int8(reference: Reference, fp32: Path, artefact: Path, order: Order, report: Report) -> dict[str, Any]:
    assert order.calib is not None  # the options of an export see to it
    cache = order.out / f"{reference.spec.name}.ranges.json"
    result = int8_step(reference, fp32, artefact, order.calib, order.images, order.budget, cache, report)
    draw_pareto(result.search, order.out / f"{reference.spec.name}.int8.png", f"{reference.spec.name}, int8")
    if not order.keep_failed:
        result.search.require()
    facts = result.as_json()
    return {"kept_in_fp32": facts.pop("kept"), **facts}


def _fp16(reference: Reference, fp32: Path, artefact: Path, report: Report) -> dict[str, Any]:
    images = list(_ranging_images(reference))
    what = f"{reference.spec.name}: measure ranges"

    def feeds() -> Iterator[Arrays]:
        for done, image in enumerate(images):
            report(what, done, len(images))
            yield graph_inputs(reference, image)

    ranges = activation_ranges(fp32, feeds())
    report(what, len(images), len(images))
    plan = to_fp16(fp32, artefact, {name: extremes.largest for name, extremes in ranges.items()})
    return {"kept_in_fp32": dict(plan.kept), "nodes_in_fp16": plan.converted, "casts": plan.casts}


def _ranging_images(reference: Reference) -> Iterator[Image]:
    """Seeded images and a portrait; for networks that are not large also the portrait as degraded as it gets."""
    height, width = reference.calibration_size
    yield from (seeded_image(FIRST_SEEDED + index, height, width) for index in range(4))
    for picture in (resized(picture, height, width) for picture in default_pictures()):
        yield picture
        if reference.spec.macs < LARGE:
            yield from (degrade(picture, kind, 1.0, rng(f"ranging:{kind}"))[0] for kind in KINDS)

"""The fp16 step: measures the ranges of activations on images that stretch them, and makes the fp16 file from that."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fiqa_calibration.candidates import FIRST_SEEDED
from fiqa_runtime.artefact.facts import Fp16Conversion
from fiqa_runtime.backends.base import Arrays
from fiqa_runtime.images.ladder import KINDS, degrade
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.sample_pictures import default_pictures, resized
from fiqa_runtime.images.seeded import rng, seeded_image
from fiqa_runtime.system.progress import Report, silent

from fiqa_export.fp16.convert import to_fp16
from fiqa_export.fp16.ranges import activation_ranges
from fiqa_export.graph.files import size_of
from fiqa_export.graph.loading import open_graph
from fiqa_export.models import Reference
from fiqa_export.models.inputs import graph_inputs

LARGE = 10**10
"""Ranges of networks of at least this many multiply-accumulates are measured on fewer images."""


def fp16_step(reference: Reference, fp32: Path, fp16: Path, report: Report = silent) -> Fp16Conversion:
    """Write the fp16 version of the ONNX file `fp32` to `fp16`; returns what the card says of it.

    Raises what :func:`fiqa_export.fp16.convert.to_fp16` raises.
    """
    images = list(_ranging_images(reference))
    what = f"{reference.spec.name}: measure ranges"

    def feeds() -> Iterator[Arrays]:
        for done, image in enumerate(images):
            report(what, done, len(images))
            yield graph_inputs(reference, image)

    ranges = activation_ranges(fp32, feeds())
    report(what, len(images), len(images))
    plan = to_fp16(fp32, fp16, {name: extremes.largest for name, extremes in ranges.items()})
    nodes = len(open_graph(fp32).graph)
    return Fp16Conversion(size_of(fp32), nodes, dict(plan.kept), plan.converted, plan.casts)


def _ranging_images(reference: Reference) -> Iterator[Image]:
    """Seeded images and a portrait; for networks that are not large also the portrait in every degradation at full
    strength."""
    height, width = reference.calibration_size
    yield from (seeded_image(FIRST_SEEDED + index, height, width) for index in range(4))
    for picture in (resized(picture, height, width) for picture in default_pictures()):
        yield picture
        if reference.spec.macs < LARGE:
            yield from (degrade(picture, kind, 1.0, rng(f"ranging:{kind}"))[0] for kind in KINDS)

"""Dispatch by precision: which step makes an ONNX file of that precision from the fp32 file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fiqa_runtime.system.progress import Report

from fiqa_export.fp16.step import fp16_step
from fiqa_export.graph.files import size_of
from fiqa_export.graph.loading import open_graph
from fiqa_export.int8.step import Int8Order, int8_step
from fiqa_export.models import Reference
from fiqa_export.verdict.recipe import Precision


def convert(
    reference: Reference, fp32: Path, precision: Precision, int8: Int8Order | None, report: Report
) -> tuple[Path, dict[str, Any]]:
    """Make the artefact of `precision` from the file `fp32`, in the same folder; also returns facts about the
    conversion, for the card.

    Raises what :func:`fiqa_export.fp16.step.fp16_step` and :func:`fiqa_export.int8.step.int8_step` raise.
    """
    if precision == "fp32":
        return fp32, {}
    artefact = fp32.with_name(f"{reference.spec.name}.{precision}.onnx")
    facts = {"fp32_bytes": size_of(fp32), "nodes": len(open_graph(fp32).graph)}
    if int8 is not None:
        return artefact, {**facts, **int8_step(reference, fp32, artefact, int8, report)}
    return artefact, {**facts, **fp16_step(reference, fp32, artefact, report)}

"""Dispatch by precision: which step makes an ONNX file of that precision from the fp32 file."""

from __future__ import annotations

from pathlib import Path

from fiqa_runtime.artefact.facts import Conversion
from fiqa_runtime.artefact.spec import Precision
from fiqa_runtime.system.progress import Report

from fiqa_export.fp16.step import fp16_step
from fiqa_export.int8.step import Int8Order, int8_step
from fiqa_export.models import Reference


def convert(
    reference: Reference, fp32: Path, precision: Precision, int8: Int8Order | None, report: Report
) -> tuple[Path, Conversion | None]:
    """The artefact of `precision` made of `fp32`, in the same folder, and what its card says of the conversion.

    Raises what :func:`fiqa_export.fp16.step.fp16_step` and :func:`fiqa_export.int8.step.int8_step` raise.
    """
    if precision == "fp32":
        return fp32, None
    artefact = fp32.with_name(f"{reference.spec.name}.{precision}.onnx")
    if int8 is not None:
        return artefact, int8_step(reference, fp32, artefact, int8, report)
    return artefact, fp16_step(reference, fp32, artefact, report)

"""Hands artefacts over to servers: to a Triton model repository, to DeepStream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fiqa_runtime.artefact.card import Card, built_for

from fiqa_export.plan.step import Plan
from fiqa_export.serving.deepstream import write_deepstream
from fiqa_export.serving.triton import write_triton


@dataclass(frozen=True)
class ServingFolders:
    """The folders of the servers that get an artefact: its plan where TensorRT built one, else the ONNX file."""

    triton: Path | None = None
    """Triton model repository."""
    deepstream: Path | None = None
    """Folder for DeepStream's nvinfer."""

    def told(self) -> Iterator[str]:
        """For people, one line each: what was written where."""
        if self.triton:
            yield f"wrote a model repository for Triton to {self.triton}"
        if self.deepstream:
            yield f"wrote the files of DeepStream's nvinfer to {self.deepstream}"

    def write(self, onnx: Path, card: Card, plan: Plan | None) -> None:
        """Hand over the artefact; raises UnsupportedError for what the other side cannot run."""
        if plan and built_for(plan.card).flavour == "tensorrt":
            onnx, card = plan.path, plan.card
        if self.triton:
            write_triton(onnx, card, self.triton)
        if self.deepstream:
            write_deepstream(onnx, card, self.deepstream)

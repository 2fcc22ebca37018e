"""Hands artefacts over to servers: to a Triton model repository, to DeepStream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fiqa_runtime.artefact.card import Card, built_for
from fiqa_runtime.artefact.spec import InputSpec, OutputSpec
from fiqa_runtime.artefact.weight_files import locate
from fiqa_runtime.artefact.zoo import DETECTOR

from fiqa_export.plan.step import Plan
from fiqa_export.serving.deepstream import write_deepstream
from fiqa_export.serving.triton import write_triton
from fiqa_export.serving.triton_python import refuse_faceless, write_with_faces


@dataclass(frozen=True)
class ServingFolders:
    """The folders of the servers that get an artefact: its plan where TensorRT built one, else the ONNX file."""

    triton: Path | None = None
    """Triton model repository."""
    deepstream: Path | None = None
    """Folder for DeepStream's nvinfer."""
    with_faces: bool = False
    """Whether Triton also gets models that its python backend runs: one for crops, one for photos."""

    def check(self, model: str, spec: InputSpec, outputs: tuple[OutputSpec, ...]) -> None:
        """Before the work: raise UnsupportedError where the network called `model` cannot be served as asked, and what
        `locate` raises where the face detector is not there."""
        if self.with_faces:
            refuse_faceless(model, spec, outputs)
            locate(DETECTOR)

    def told(self) -> Iterator[str]:
        """For people, one line each: what was written where."""
        if self.triton:
            yield f"wrote a model repository for Triton to {self.triton}"
        if self.deepstream:
            yield f"wrote the files of DeepStream's nvinfer to {self.deepstream}"

    def write(self, onnx: Path, card: Card, plan: Plan | None) -> None:
        """Hand over the artefact; raises UnsupportedError for what the other side cannot run."""
        if self.triton and self.with_faces:
            write_with_faces(onnx, card, self.triton, locate(DETECTOR))
        if plan and built_for(plan.card).flavour == "tensorrt":
            onnx, card = plan.path, plan.card
        if self.triton:
            write_triton(onnx, card, self.triton)
        if self.deepstream:
            write_deepstream(onnx, card, self.deepstream)

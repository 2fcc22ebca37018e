"""The options of ``fiqa-score`` in groups, as the functions of this room take them."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.images.align import Method
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.terminal.console import stderr


@dataclass(frozen=True)
class EngineSettings:
    """The artefact to score with, and how it is run."""

    engine: str
    """A path, or a bare name that is also looked for in ``engines/``."""
    backend: str
    """`auto` or the name of a backend, as for :class:`Scorer`."""
    threads: int | None
    precision: CpuPrecision

    def open(self) -> Scorer:
        """The scorer; where a person watches, a line says what a first time with `auto` waits for."""
        waiting = stderr.status("opening the engine; the first time every backend is tried")
        with waiting if stderr.is_terminal else nullcontext():
            return Scorer(self.engine, self.backend, self.threads, self.precision)


@dataclass(frozen=True)
class FaceSettings:
    """How the faces of photos are found and aligned."""

    detector: Path | None
    """A YuNet file; None: OpenCV Zoo's."""
    min_confidence: float
    longest_side: int
    align: Method

    def open_detector(self, engine: EngineSettings) -> Detector:
        """The detector, in OpenCV where `engine` is to run there, with as many threads as `engine`."""
        backend = "opencv" if engine.backend == "opencv" else "auto"
        return Detector(
            self.detector, self.min_confidence, backend=backend, threads=engine.threads, longest=self.longest_side
        )


@dataclass(frozen=True)
class ScoreSettings:
    """What else decides how images are scored, and where the scores go."""

    aligned: bool
    """Whether the images are ready crops."""
    landmarks: Path | None
    """Folder with the landmarks of each ready portrait."""
    overlap: bool
    """Whether the faces of the next photo are found while those of this one are scored."""
    streams: int
    """Photos at once."""
    fp32_threshold: float | None
    """Score from which faces are accepted, as chosen on a float32 artefact."""
    json: str | None
    csv: Path | None
    quality_files: tuple[Path, ...]
    overlay: Path | None
    """Folder for annotated copies."""

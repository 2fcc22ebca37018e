"""The options of ``fiqa-score`` in groups, as the functions of this room take them."""

from __future__ import annotations

from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fiqa_runtime.artefact.location import ENGINES
from fiqa_runtime.artefact.spec import CpuPrecision
from fiqa_runtime.artefact.zoo import GROUPS
from fiqa_runtime.errors import FetchError, InputError
from fiqa_runtime.faces.detection import FaceFinder
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.faces.mtcnn_detector import MtcnnDetector, PresetName, has_mtcnn
from fiqa_runtime.faces.portrait_quality import PortraitQuality, open_landmarkers
from fiqa_runtime.images.align import Method
from fiqa_runtime.images.framing import frame_of
from fiqa_runtime.rows.pictures import Pictures
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.terminal.console import detail, stderr
from fiqa_runtime.terminal.options import refuse_unused


@dataclass(frozen=True)
class EngineSettings:
    """The artefact to score with, and how it is run."""

    engine: str
    """A path, or a bare name that is also looked for in ``engines/``."""
    backend: str
    """`auto` or the name of a backend, as for :class:`Scorer`."""
    threads: int | None
    precision: CpuPrecision
    network: Path | None = None
    """A network file that describes an ONNX file of others."""
    device: str | None = None
    """What runs it, as for :class:`Scorer`."""

    def open(self, images: int | None = None) -> Scorer:
        """The scorer for so many `images`, None for many; where a person watches, a line says what a first time with
        `auto` waits for."""
        waiting = "opening the engine; the first time every backend is tried"
        with stderr.status(waiting) if stderr.is_terminal else nullcontext():
            if self.network is None:
                scorer = Scorer(
                    self.engine, self.backend, self.threads, self.precision, device=self.device, images=images
                )
            else:
                from fiqa_runtime.scoring.foreign import open_foreign

                scorer = open_foreign(self.engine, self.network, self.backend, self.threads, self.device)
        card = scorer.card
        detail(f"engine {scorer.path}: {card.model} {card.precision}, {card.weights.description}")
        for line in scorer.choice.lines() if scorer.choice else ():
            detail(line)
        return scorer


YUNET, MTCNN = "yunet", "mtcnn"


@dataclass(frozen=True)
class FaceSettings:
    """How the faces of photos are found and aligned."""

    detector: str | None
    """`yunet` (OpenCV Zoo's file), `mtcnn` (its artefacts beside the engine, or in ``engines/``), or a file of either;
    None: what the network's authors use where it is there, else YuNet."""
    preset: PresetName | None
    """How MTCNN is used; None: as facenet-pytorch does."""
    min_confidence: float | None
    """None: what suits the detector, as `longest_side`."""
    longest_side: int | None
    align: Method

    def open_detectors(self, engine: EngineSettings, scorer: Scorer) -> list[Detector | MtcnnDetector]:
        """The detector of :meth:`open_detector`, and then the other kind as it comes, where that is here."""
        first = self.open_detector(engine, scorer)
        other = replace(self, detector=YUNET if isinstance(first, MtcnnDetector) else MTCNN, preset=None)
        with suppress(FetchError, InputError):
            return [first, other.open_detector(engine, scorer)]
        return [first]

    def open_detector(
        self, engine: EngineSettings, scorer: Scorer, backend: str | None = None
    ) -> Detector | MtcnnDetector:
        """The detector for the network of `scorer`, with the threads and on the device of `engine`, in `backend`.

        None is the detector's own choice, or OpenCV where `engine` is to run there. Where the scorer runs there because
        it opens soonest, YuNet does too: few photos would otherwise wait for another library. Raises InputError where a
        preset is given for another detector than MTCNN, and what the detectors raise.
        """
        mtcnn = self._mtcnn(scorer)
        by_yunet = mtcnn is None and self.detector in (None, YUNET)
        soonest = by_yunet and scorer.choice is not None and scorer.choice.soonest and scorer.choice.backend == "opencv"
        backend = backend or ("opencv" if engine.backend == "opencv" or soonest else "auto")
        given: dict[str, Any] = {"backend": backend, "threads": engine.threads, "device": engine.device}
        given |= {} if self.min_confidence is None else {"min_confidence": self.min_confidence}
        given |= {} if self.longest_side is None else {"longest": self.longest_side}
        if mtcnn is not None:
            return MtcnnDetector(mtcnn, self.preset or "facenet", **given)
        if self.preset is not None:
            raise InputError("--preset says how MTCNN is used; add --detector mtcnn or leave it out")
        return Detector(None if self.detector in (None, YUNET) else self.detector, **given)

    def _mtcnn(self, scorer: Scorer) -> Path | None:
        """Where MTCNN's artefacts are if it is to find the faces, else None."""
        folder = scorer.path.parent
        if self.detector == MTCNN:
            return folder if has_mtcnn(folder) else ENGINES
        if self.detector is None:
            by_authors = frame_of(scorer.card.input).landmarks == 68
            return next((place for place in (folder, ENGINES) if by_authors and has_mtcnn(place)), None)
        return Path(self.detector) if Path(self.detector).name.startswith(GROUPS["mtcnn"]) else None


def assessor_for(
    scorer: Scorer, detector: FaceFinder, align: Method, engine: EngineSettings, stack: ExitStack
) -> FaceQuality | PortraitQuality:
    """The assessor for the network's framing, which runs as `engine` says; `stack` closes what it opens."""
    if not frame_of(scorer.card.input).on_template:
        refuse_unused(scorer.card.model, ["--align"] if align != "least-squares" else [])
    if frame_of(scorer.card.input).landmarks == 68:
        opened = open_landmarkers(scorer.path, engine.backend, engine.threads, engine.device)
        first, second = map(stack.enter_context, opened)
        return PortraitQuality(scorer, detector, (first, second))
    return FaceQuality(scorer, detector, align)


@dataclass(frozen=True)
class Workers:
    """Processes that score."""

    number: int = 1
    ordered: bool = True
    """Whether results keep the order of the images."""


@dataclass(frozen=True)
class ScoreSettings:
    """What else decides how images are scored, and where the scores go."""

    aligned: bool
    """Whether the images are ready crops."""
    landmarks: Path | None
    """Folder with the landmarks of each ready portrait."""
    overlap: bool
    """Whether the faces of the next photo are to be found while those of this one are scored."""
    streams: int | None
    """Photos at once; None: what is fastest."""
    threshold: str | None
    """Score from which faces are accepted, on the artefact's own scale, or `stored`."""
    fp32_threshold: float | None
    """The same as chosen on a float32 artefact."""
    reject: float | None
    """Share of the faces that a threshold is to be found for; None: none is."""
    json: str | None
    jsonl: Path | None
    csv: Path | None
    parquet: Path | None
    quality_files: tuple[Path, ...]
    overlay: Path | None
    """Folder for annotated copies."""
    resume: bool = False
    """Whether to go on from what a run that was cut has left."""
    workers: Workers = field(default_factory=Workers)
    pictures: Pictures = field(default_factory=Pictures)
    """How images are read."""

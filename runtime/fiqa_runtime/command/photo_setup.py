"""Opens what a way to score photos needs, and decides which way these photos are scored."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from fiqa_runtime.backends.devices import CPU
from fiqa_runtime.command.batch import score_photos
from fiqa_runtime.command.results import Stream
from fiqa_runtime.command.settings import EngineSettings, FaceSettings, assessor_for
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detection import finder_settings
from fiqa_runtime.faces.detector import FACE_DETECTOR_YN, Detector
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.faces.mtcnn_detector import MtcnnDetector
from fiqa_runtime.faces.portrait_quality import PortraitQuality
from fiqa_runtime.images.dimensions import image_size
from fiqa_runtime.rows.pictures import Pictures
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.files import sha256_of
from fiqa_runtime.system.host import limit_opencv, own_groups, threads_per_stream, usable_cores
from fiqa_runtime.terminal.console import stderr
from fiqa_runtime.tuning.measuring import Score, candidates, decide_setup
from fiqa_runtime.tuning.setup import Decision, Setup

MOST_AT_ONCE = 8
"""Photos at once that are tried where nobody asks for a number."""
MOST_BYTES = 1 << 30
"""Of all copies of the network together, where nobody asks for a number."""


@dataclass(frozen=True)
class OpenSetup:
    """A way to score photos, ready to run."""

    setup: Setup
    scorer: Scorer
    """One of its scorers."""
    assessors: Sequence[FaceQuality | PortraitQuality]
    """As many as it takes photos at once."""
    opencv_threads: int
    """Threads of OpenCV, which has one number for the whole process."""
    pictures: Pictures

    def score(self, paths: Sequence[Path]) -> Stream:
        """The results of `paths`, in their order, as they come."""
        limit_opencv(self.opencv_threads)
        yield from score_photos(paths, self.assessors[0], self.setup.overlap, self.assessors[1:], self.pictures)


@dataclass(frozen=True)
class Opener:
    """What is open already, and the settings to open more with."""

    scorer: Scorer
    detector: Detector | MtcnnDetector
    engine: EngineSettings
    faces: FaceSettings
    pictures: Pictures

    @property
    def plain(self) -> Setup:
        """One photo after the other, with what is open."""
        engine = self.detector.engine
        return Setup("opencv" if engine == FACE_DETECTOR_YN else engine, self.scorer.backend.name)

    def open(self, setup: Setup, stack: ExitStack) -> OpenSetup:
        """`setup` with what it needs, which `stack` closes; raises what opening raises."""
        threads = self.engine.threads
        if setup.streams > 1:
            threads = threads_per_stream(setup.streams, threads)
        named = replace(self.engine, backend=setup.scorer, threads=threads)
        if setup.streams == 1 and setup.scorer == self.plain.scorer:
            scorers = [self.scorer]
        else:
            scorers = [stack.enter_context(named.open()) for _ in range(setup.streams)]
        assessors = []
        for scorer in scorers:
            detector = self.detector
            if setup.streams > 1 or setup.detector != self.plain.detector:
                detector = self.faces.open_detector(named, scorer, setup.detector)
            shared = replace(self.engine, threads=threads)
            assessors.append(assessor_for(scorer, detector, self.faces.align, shared, stack))
        return OpenSetup(setup, scorers[0], assessors, threads or math.ceil(usable_cores(own_groups())), self.pictures)

    def decide(
        self, files: Sequence[Path], asked: tuple[int | None, bool] = (None, False), always: bool = False
    ) -> Decision:
        """The way to score the photos `files`, see :func:`fiqa_runtime.tuning.measuring.decide_setup`.

        `asked`: the streams that the user asks for, None to leave them open, and whether for overlap.
        """
        choice = self.scorer.choice if self.engine.backend == "auto" else None
        if choice is not None and choice.soonest and asked == (None, False):
            return Decision(self.plain, "opening anything else would take longer than these photos")
        question = {
            "artefact": sha256_of(self.scorer.path),
            "detector": {key: str(value) for key, value in finder_settings(self.detector).items()},
            "align": self.faces.align,
            "size": _size_class(files, self.pictures),
            "threads": self.engine.threads,
            "precision": self.engine.precision,
            "device": self.scorer.device,
        }
        copies = self._copies()
        cores = max(int(self.engine.threads or usable_cores(own_groups())), 1)
        among = candidates(self.plain, choice, min(cores, MOST_AT_ONCE, copies), *asked, self.engine.device or CPU)
        among = replace(among, pairs=among.pairs[:copies])

        def open_one(setup: Setup, stack: ExitStack) -> Score:
            opened = self.open(setup, stack)
            return lambda paths: deque(opened.score(paths), maxlen=0)

        waiting = "finding out which way these photos are scored fastest; once on this machine"
        with stderr.status(waiting) if stderr.is_terminal else nullcontext():
            return decide_setup(files, among, question, open_one, always)

    def _copies(self) -> int:
        """How often the network may be open at once where the user does not say, as far as memory bears that."""
        path, card = self.scorer.path.resolve(), self.scorer.card
        if self.scorer.device != CPU:
            return 1  # each copy would take the memory of the device
        size = sum((path.parent / name).stat().st_size for name in (card.files or (path.name,)))
        return max(MOST_BYTES // max(size, 1), 1)


def opener_for(engine: EngineSettings, faces: FaceSettings, scorer: Scorer, pictures: Pictures) -> Opener:
    """`scorer` with the detector that suits it, for `pictures`; raises what opening that raises."""
    return Opener(scorer, faces.open_detector(engine, scorer), engine, faces, pictures)


def _size_class(files: Sequence[Path], pictures: Pictures) -> int | None:
    """Of the photo in the middle: the power of two next to its longer side, in pixels; None where no header says it."""
    if not files:
        return None
    try:
        size = image_size(pictures.data(files[len(files) // 2]))
    except (OSError, InputError):
        return None
    return round(math.log2(max(*size, 1))) if size else None

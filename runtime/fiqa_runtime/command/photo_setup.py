"""Opens what a way to score photos needs, and decides which way these photos are scored."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

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


def open_setup(
    setup: Setup,
    engine: EngineSettings,
    faces: FaceSettings,
    pictures: Pictures,
    stack: ExitStack,
    scorer: Scorer | None = None,
) -> OpenSetup:
    """`setup` with what it needs, which `stack` closes, for `pictures`; raises what opening raises.

    `scorer` is one that is open already: it is used where the setup has one, in that backend.
    """
    threads = engine.threads if setup.streams == 1 else threads_per_stream(setup.streams, engine.threads)
    named = replace(engine, backend=setup.scorer, threads=threads)
    if scorer is not None and setup.streams == 1 and scorer.backend.name == setup.scorer:
        scorers = [scorer]
    else:
        scorers = [stack.enter_context(named.open()) for _ in range(setup.streams)]
    assessors = [
        assessor_for(
            each, faces.open_detector(named, each, setup.detector), faces.align, engine.backend, threads, stack
        )
        for each in scorers
    ]
    return OpenSetup(setup, scorers[0], assessors, threads or math.ceil(usable_cores(own_groups())), pictures)


def plain_setup(scorer: Scorer, engine: EngineSettings, faces: FaceSettings) -> Setup:
    """One photo after the other with `scorer`, and the detector in the backend of its own choice."""
    return _plain(faces.open_detector(engine, scorer), scorer)


def _plain(detector: Detector | MtcnnDetector, scorer: Scorer) -> Setup:
    return Setup("opencv" if detector.engine == FACE_DETECTOR_YN else detector.engine, scorer.backend.name)


def decide_for(
    files: Sequence[Path],
    scorer: Scorer,
    engine: EngineSettings,
    faces: FaceSettings,
    pictures: Pictures,
    asked: tuple[int | None, bool] = (None, False),
    always: bool = False,
) -> Decision:
    """The way to score the photos `files` with the network of `scorer`, see :func:`decide_setup`.

    `asked`: the streams that the user asks for, None to leave them open, and whether for overlap.
    """
    detector = faces.open_detector(engine, scorer)
    cores = max(int(engine.threads or usable_cores(own_groups())), 1)
    choice = scorer.choice if engine.backend == "auto" else None
    among = candidates(_plain(detector, scorer), choice, cores, *asked)
    question = {
        "artefact": sha256_of(scorer.path),
        "detector": {key: str(value) for key, value in finder_settings(detector).items()},
        "align": faces.align,
        "size": _size_class(files, pictures),
        "threads": engine.threads,
        "precision": engine.precision,
    }

    def open_one(setup: Setup, stack: ExitStack) -> Score:
        opened = open_setup(setup, engine, faces, pictures, stack, scorer)
        return lambda paths: deque(opened.score(paths), maxlen=0)

    waiting = stderr.status("finding out which way these photos are scored fastest; once on this machine")
    with waiting if stderr.is_terminal else nullcontext():
        return decide_setup(files, among, question, open_one, always)


def _size_class(files: Sequence[Path], pictures: Pictures) -> int | None:
    """Of the photo in the middle: the power of two next to its longer side, in pixels; None where no header says it."""
    if not files:
        return None
    try:
        size = image_size(pictures.data(files[len(files) // 2]))
    except (OSError, InputError):
        return None
    return round(math.log2(max(*size, 1))) if size else None

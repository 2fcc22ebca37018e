"""Times the way from photo to scored faces: our flow and that of OpenCV Zoo's demo, in interleaved rounds."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.images.framing import frame_of
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.system.host import thread_limit, threads_per_stream
from fiqa_runtime.system.parallel import work_side_by_side
from fiqa_runtime.system.progress import Report, silent

from fiqa_benchmarks.contenders.peers import Contender, open_contender, prepare
from fiqa_benchmarks.photos.demo_flow import DemoFlow
from fiqa_benchmarks.speed.latency import Ratio, Timing, measure, ratio

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
OURS, DEMO = "fiqa-edge", "opencv-demo"
STEP = "photos"


class Flow(Protocol[T_co]):
    """One way from a photo to scored faces."""

    def assess(self, photo: Image, /) -> T_co: ...


@dataclass(frozen=True)
class PipelineResult:
    """What both flows did with the same photos."""

    photos: int
    faces: int
    """Number of faces that our flow found."""
    demo_faces: int
    timings: dict[str, Timing]
    """Time of one pass over all photos, without reading them, by flow."""
    ratio: Ratio
    """Time of the demo's flow divided by that of ours."""
    box_difference: float | None
    """Largest difference of a box's coordinate in pixels; None where the flows found different numbers of faces."""
    score_difference: float | None
    """Largest difference of a score; None in the same case."""
    backend: dict[str, str]
    detector: str
    streams: int
    """Number of photos that our flow takes at once."""

    def as_json(self) -> dict[str, Any]:
        """Plain data for the JSON document."""
        timings = {name: timing.as_json(self.photos) for name, timing in self.timings.items()}
        return {**asdict(self), "timings": timings, "ratio": asdict(self.ratio)}

    def lines(self) -> list[str]:
        """A line for people."""
        ours, demo = (1e3 * self.timings[name].percentile(50) / self.photos for name in (OURS, DEMO))
        same = (
            f"boxes within {self.box_difference:.1e} px, scores within {self.score_difference:.1e}"
            if self.score_difference is not None
            else f"{self.faces} and {self.demo_faces} faces: not the same"
        )
        return [
            f"Pipeline, {self.photos} photos, {self.faces} faces: {ours:.2f} ms per photo "
            f"({self.detector} and {self.backend['name']}, {self.streams} at once), OpenCV Zoo's demo {demo:.2f} ms, "
            f"{self.ratio.median:.2f} x ({self.ratio.low:.2f} to {self.ratio.high:.2f}); {same}"
        ]


def bench_pipeline(
    contender: Contender,
    photos: Sequence[Image],
    detector: Path,
    threads: int | None = None,
    rounds: int | None = None,
    report: Report = silent,
    streams: int = 1,
) -> PipelineResult:
    """Time the network of `contender` in our flow and in that of the demo, with the same YuNet file and alignment.

    Our flow takes `streams` photos at once, which share the threads. The demo's takes one photo after the other, with
    all threads. Raises InputError where there is no photo or the network does not take five-point crops, and what
    opening the contender and writing the plain export raise.
    """
    if not photos:
        raise InputError("no photos to time; name a folder with --images")
    with tempfile.TemporaryDirectory(prefix="fiqa-bench-") as folder:
        plain = prepare(Contender("plain", contender.artefact, "opencv-plain"), Path(folder), threads)
        own = threads_per_stream(streams, threads) if streams > 1 else threads
        ready = prepare(contender, Path(folder), own)
        with ExitStack() as stack:
            scorers = [stack.enter_context(open_contender(ready, own)) for _ in range(streams)]
            scorer = scorers[0]
            if not frame_of(scorer.card.input).on_template:
                raise InputError(f"--pipeline compares networks that take 112 x 112 crops, not {scorer.card.model}")
            backend = "opencv" if contender.backend == "opencv" else "auto"
            finders = [Detector(detector, backend=backend, threads=own, device=contender.device) for _ in scorers]
            ours = [FaceQuality(each, finder, "lmeds") for each, finder in zip(scorers, finders, strict=True)]
            demo = DemoFlow(detector, Path(plain.artefact), scorer.card.input)
            found = _assess(ours, photos, own)
            theirs = [demo.assess(photo) for photo in photos]
            ours_timing, demo_timing = measure(
                [
                    {STEP: lambda: _assess(ours, photos, own)},
                    {STEP: lambda: _assess([demo], photos, threads)},
                ],
                rounds,
                report,
                "rounds over the photos",
            )
            info = {"name": scorer.backend.name, **scorer.backend.info}
    faces, rows = [face for each in found for face in each], np.concatenate([boxes for boxes, _ in theirs])
    scores = np.concatenate([values for _, values in theirs])
    same = [len(each) for each in found] == [len(boxes) for boxes, _ in theirs]
    return PipelineResult(
        len(photos),
        len(faces),
        len(rows),
        {OURS: ours_timing[STEP], DEMO: demo_timing[STEP]},
        ratio(demo_timing[STEP], ours_timing[STEP]),
        _largest([face.box for face in faces], rows[:, :4]) if same else None,
        _largest([np.array([face.quality]) for face in faces], scores[:, None]) if same else None,
        info,
        finders[0].engine,
        streams,
    )


def _assess(flows: Sequence[Flow[T]], photos: Sequence[Image], threads: int | None) -> list[T]:
    """Run `flows` over all photos. OpenCV has one number of threads per process, which is set to `threads`."""
    cv2.setNumThreads(threads or thread_limit() or -1)
    if len(flows) == 1:
        return [flows[0].assess(photo) for photo in photos]
    return list(work_side_by_side(lambda flow, photo: flow.assess(photo), flows, photos))


def _largest(found: Sequence[np.ndarray[Any, Any]], expected: np.ndarray[Any, Any]) -> float:
    return float(np.abs(np.array(found).reshape(expected.shape) - expected).max(initial=0))

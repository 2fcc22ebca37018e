"""The rows of the CPU table: which times are divided, what the ratio has to reach, and how well the scores must
agree."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fiqa_runtime.errors import InputError, UnsupportedError
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.system.host import own_groups, usable_cores
from fiqa_runtime.system.progress import Report
from rich.markup import escape

from fiqa_benchmarks.contenders.peers import Contender
from fiqa_benchmarks.photos.bench import bench_pipeline
from fiqa_benchmarks.readme_tables.cpu_network import BFLOAT, INT8, TORCH, Measured
from fiqa_benchmarks.speed.bench import END_TO_END, NETWORK
from fiqa_benchmarks.speed.latency import Ratio, measure, ratio

FLOAT = ("onnxruntime", "openvino", "opencv", BFLOAT)
SRCC = {"seeded": (0.995, 0.995)}
SRCC_TRAINED = (0.999, 0.998)
"""Smallest rank correlation with torch for a float contender and for an int8 contender."""
NO_INT8 = "no int8 file"
_CHILD = """
import sys
from fiqa_benchmarks.speed.memory import peak_resident_bytes
from fiqa_runtime.cli import app
app(sys.argv[1:], standalone_mode=False)
sys.stderr.write(str(peak_resident_bytes()))
"""


@dataclass(frozen=True)
class Row:
    """One row of the table."""

    figure: str
    batch: str
    limit: float
    value: float | None
    """The measured value; None where it could not be measured."""
    low: float | None = None
    high: float | None = None
    how: str = ""
    """Which contender was taken and how well it agrees, or why there is no value."""
    at_most: bool = False
    agrees: bool = True
    """Whether the outputs agree as the figure requires."""
    unit: str = "x"

    @property
    def reached(self) -> bool:
        """Whether the figure is reached."""
        if self.value is None or not self.agrees:
            return False
        return self.value <= self.limit if self.at_most else self.value >= self.limit

    def cells(self) -> list[str]:
        """The cells of the table for people, in rich's markup."""
        sign = "<=" if self.at_most else ">="
        digits = 0 if self.unit == "MiB" else 2
        spread = "" if self.low is None else f"{self.low:.2f} to {self.high:.2f}"
        here = "-" if self.value is None else f"{self.value:.{digits}f} {self.unit}"
        mark = "[green]reached[/]" if self.reached else "[red]not reached[/]"
        goal = f"{sign} {self.limit:g} {self.unit}"
        return [escape(self.figure), self.batch, goal, here, spread, mark, escape(self.how)]

    def as_json(self) -> dict[str, Any]:
        """Plain data for the JSON document."""
        return {**asdict(self), "reached": self.reached}


def network_rows(model: str, measured: Measured) -> list[Row]:
    """The rows of one network, in the order of :data:`FIGURES`."""
    rows = [
        _row(measured, figure, batch, limit, slower, faster)
        for of, figure, limits, slower, faster in FIGURES
        if of == model
        for batch, limit in limits.items()
    ]
    return [*rows, *(_overheads(measured) if model == "ediffiqa-t" else [])]


FIGURES: tuple[tuple[str, str, dict[int, float], str, tuple[str, ...]], ...] = (
    ("ediffiqa-t", "eDifFIQA(T), best float path / torch eager", {1: 4.5, 8: 2.3}, TORCH, FLOAT),
    (
        "ediffiqa-t",
        "eDifFIQA(T), our ONNX / plain export, in ONNX Runtime",
        {1: 2.5, 8: 2.0},
        "onnxruntime-plain",
        ("onnxruntime",),
    ),
    ("ediffiqa-t", "eDifFIQA(T), best float path / OpenCV DNN on the plain export", {1: 2.0}, "opencv-plain", FLOAT),
    ("cr-fiqa-s", "CR-FIQA(S), best float path / torch eager", {1: 2.0, 8: 1.9}, TORCH, FLOAT),
    ("cr-fiqa-s", "CR-FIQA(S), int8 / torch eager", {1: 3.3, 8: 3.3}, TORCH, INT8),
    ("ifqa", "IFQA, best float path / torch eager", {1: 3.0, 8: 3.0}, TORCH, FLOAT),
    ("ifqa", "IFQA, int8 / torch eager", {1: 4.2, 8: 4.2}, TORCH, INT8),
    ("dsl-fiqa", "DSL-FIQA, 20 crops of a photo, best float path / one by one in torch eager", {20: 3.0}, TORCH, FLOAT),
    ("ifqa-plus", "IFQA++, best float path / torch eager", {1: 2.2, 2: 2.0}, TORCH, FLOAT),
)
"""Network; name of the figure; ratio to reach, by batch; the slower contender; and the contenders of which the fastest
that agrees with torch is taken."""


def _row(measured: Measured, figure: str, batch: int, limit: float, slower: str, faster: Sequence[str]) -> Row:
    floor = SRCC.get(measured.weights, SRCC_TRAINED)[faster == INT8]
    name = measured.best(batch, faster, floor)
    if name is None and faster == INT8 and not any(n in measured.srcc or n in measured.missing for n in INT8):
        return Row(figure, str(batch), limit, None, how=NO_INT8)
    if name is None or slower not in measured.timings[batch]:
        known = {**measured.missing, **{n: f"SRCC {value:.4f}" for n, value in measured.srcc.items()}}
        why = "; ".join(f"{n}: {known[n]}" for n in (slower, *faster) if n in known)
        return Row(figure, str(batch), limit, None, how=why)
    found = measured.ratio(batch, slower, name)
    milliseconds = 1e3 * measured.timings[batch][name][NETWORK].percentile(50)
    how = f"{name}, {milliseconds:.2f} ms; {measured.weights} weights, SRCC {measured.srcc[name]:.4f} with torch"
    return Row(figure, str(batch), limit, found.median, found.low, found.high, how)


def _overheads(measured: Measured) -> Iterator[Row]:
    for batch in measured.timings:
        floor = SRCC.get(measured.weights, SRCC_TRAINED)[0]
        name = measured.best(batch, FLOAT, floor)
        if name is None:
            continue
        timings = measured.timings[batch][name]
        found = ratio(timings[END_TO_END], timings[NETWORK])
        figure = "Scorer.score / bare backend call, eDifFIQA(T)"
        yield Row(figure, str(batch), 1.05, found.median, found.low, found.high, name, at_most=True)


def detector_row(yunet: Path, images: Path | None, threads: int | None, report: Report) -> Row:
    """YuNet on the largest photo at 640 x 640: our detector beside cv2.FaceDetectorYN, with the same file."""
    photo = np.asarray(cv2.resize(max(_photos(images), key=np.size), (640, 640)), np.uint8)
    ours, theirs = (Detector(yunet, backend=backend, threads=threads) for backend in ("auto", "opencv"))
    found, expected = (np.array([face.box for face in finder.detect(photo)]) for finder in (ours, theirs))
    off = float(np.abs(found - expected).max(initial=0)) if found.shape == expected.shape else float("inf")
    own, opencv = measure([{NETWORK: lambda: ours.detect(photo)}, {NETWORK: lambda: theirs.detect(photo)}], 10, report)
    value = ratio(opencv[NETWORK], own[NETWORK])
    milliseconds = 1e3 * own[NETWORK].percentile(50)
    how = f"{ours.engine}, {milliseconds:.2f} ms; {len(found)} faces, boxes within {off:.1e} px"
    figure = "YuNet 640 x 640 / cv2.FaceDetectorYN"
    return Row(figure, "1", 1.3, value.median, value.low, value.high, how, agrees=off <= 0.5 and len(found) > 0)


def pipeline_row(engine: Path, yunet: Path, images: Path | None, threads: int | None, report: Report) -> Row:
    """The way from photos to scored faces beside the demo's flow: exact arithmetic, the best backend, one photo per
    core at once."""
    contender = Contender("ours", str(engine), "auto")
    streams = max(int(threads or usable_cores(own_groups())), 1)
    result = bench_pipeline(contender, _photos(images), yunet, threads, 10, report, streams)
    agrees = result.score_difference is not None and result.score_difference <= 1e-3
    value: Ratio = result.ratio
    figure = "Photo to scored faces / OpenCV Zoo demo's flow"
    return Row(figure, "photo", 2.5, value.median, value.low, value.high, "; ".join(result.lines()), agrees=agrees)


def memory_row(engine: Path, yunet: Path, images: Path | None) -> Row:
    """Peak resident memory of fiqa-score on the largest photo with OpenCV alone."""
    photo = str(max(_paths(images), key=lambda path: read_image(path).size))
    options = ["--engine", str(engine), "--detector", str(yunet), "--backend", "opencv"]
    result = subprocess.run(
        [sys.executable, "-c", _CHILD, photo, *options], capture_output=True, text=True, check=False
    )
    if result.returncode or not result.stderr.split():
        said = result.stderr.strip().splitlines()[-1:] or ["it does not say why"]
        raise UnsupportedError(f"fiqa-score failed: {said[0]}; run it on {photo} to see more")
    mebibytes = int(result.stderr.split()[-1]) / 2**20
    figure = "Peak resident memory of fiqa-score, eDifFIQA(T) + YuNet on OpenCV DNN"
    return Row(figure, "photo", 200, mebibytes, how=Path(photo).name, at_most=True, unit="MiB")


def _paths(images: Path | None) -> list[Path]:
    if images is None:
        raise InputError("no photos; name a folder with --images for the rows that start from photos")
    return find_images([images])


def _photos(images: Path | None) -> list[Image]:
    return [read_image(path) for path in _paths(images)]

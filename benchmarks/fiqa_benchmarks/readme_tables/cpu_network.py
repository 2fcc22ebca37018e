"""Times one network in every way that this machine can run it, in the same interleaved rounds, and compares each with
torch."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from fiqa_calibration.parity_set import ParitySet
from fiqa_runtime.artefact.card import Card, read_card
from fiqa_runtime.artefact.spec import output_of
from fiqa_runtime.errors import FiqaError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.sample_pictures import default_pictures
from fiqa_runtime.scoring.agreement import agree
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.progress import Report, silent
from numpy.typing import NDArray

from fiqa_benchmarks.contenders.crops import fill, seeded_crops
from fiqa_benchmarks.contenders.peers import Contender, open_contender, prepare
from fiqa_benchmarks.speed.bench import END_TO_END, NETWORK
from fiqa_benchmarks.speed.latency import Ratio, Steps, Timing, measure, ratio

TORCH = "torch"
BFLOAT = "openvino fast"
INT8 = ("int8 onnxruntime", "int8 openvino")
PLAIN = ("onnxruntime-plain", "opencv-plain")


@dataclass(frozen=True)
class NetworkTask:
    """What is run of one network."""

    model: str
    batches: tuple[int, ...]
    images: int
    """Number of images on which scores are compared, under seeded weights."""
    rounds: int
    backends: tuple[str, ...] = ("onnxruntime", "openvino")
    """Backends of the float file in exact arithmetic; OpenVINO also runs it in fast arithmetic."""
    plain: bool = False
    """Whether the plain export is run too, in ONNX Runtime and OpenCV."""
    one_by_one: bool = False
    """Whether torch takes the images one by one, as the authors' script does."""


@dataclass
class Measured:
    """The results of a :class:`NetworkTask`."""

    weights: str
    timings: dict[int, dict[str, dict[str, Timing]]] = field(default_factory=dict)
    """Times by batch, contender and step."""
    srcc: dict[str, float] = field(default_factory=dict)
    """Rank correlation of the scores with those of torch, by contender."""
    missing: dict[str, str] = field(default_factory=dict)
    """Why a contender was not measured, by contender."""

    def ratio(self, batch: int, slower: str, faster: str) -> Ratio:
        """Time of `slower` divided by that of `faster`, for the network alone."""
        timings = self.timings[batch]
        return ratio(timings[slower][NETWORK], timings[faster][NETWORK])

    def best(self, batch: int, names: Sequence[str], srcc: float) -> str | None:
        """The fastest of `names` that ran and whose rank correlation is at least `srcc`."""
        timings = self.timings[batch]
        usable = [name for name in names if name in timings and self.srcc[name] >= srcc]
        return min(usable, key=lambda name: timings[name][NETWORK].percentile(50), default=None)


def entered(task: NetworkTask, engine: Path, int8: Path | None) -> list[Contender]:
    """The contenders of `task`, torch first."""
    path = str(engine)
    found = [Contender(TORCH, path, TORCH), *(Contender(name, path, name) for name in task.backends)]
    if "openvino" in task.backends:
        found.append(Contender(BFLOAT, path, "openvino", cpu_precision="fast"))
    if int8:
        found += [Contender(name, str(int8), name.split()[1]) for name in INT8]
    if task.plain:
        found += [Contender(name, path, name) for name in PLAIN]
    return found


def measure_network(
    task: NetworkTask, engine: Path, int8: Path | None = None, threads: int | None = None, report: Report = silent
) -> Measured:
    """Open all contenders, compare and time them. Raises what opening torch raises; errors of other contenders go to
    `missing`."""
    with tempfile.TemporaryDirectory(prefix="fiqa-bench-") as folder, ExitStack() as stack:
        running: dict[str, Scorer] = {}
        measured: Measured | None = None
        expected: NDArray[np.float32] | None = None
        for contender in entered(task, engine, int8):
            try:
                scorer = stack.enter_context(open_contender(_ready(contender, Path(folder), threads), threads))
                measured = measured or Measured(scorer.card.weights.kind)
                if task.one_by_one and contender.name == TORCH:
                    scorer = scorer.with_max_batch(1)
                crops = _images(scorer.card, task.images)
                scores = scorer.outputs(crops)[_score_name(scorer)].reshape(-1)
                reference = scores if expected is None else expected
                measured.srcc[contender.name] = agree(reference, scores).srcc
            except FiqaError as error:
                if measured is None or expected is None:
                    raise
                measured.missing[contender.name] = str(error)
                continue
            expected = reference
            running[contender.name] = scorer
        assert measured
        for batch in task.batches:
            steps = [_steps(scorer, fill(crops, batch)) for scorer in running.values()]
            timings = measure(steps, task.rounds, report, f"{task.model}: rounds with batch {batch}")
            measured.timings[batch] = dict(zip(running, timings, strict=True))
    return measured


def _steps(scorer: Scorer, crops: list[Image]) -> Steps:
    """What is timed: the network alone and, where each crop is one input, the way from crops to scores."""
    feeds = list(scorer.batches(crops))
    steps = {NETWORK: lambda: [scorer.backend.run(feed) for feed in feeds]}
    if scorer.card.input.sampling is None and scorer.backend.name != TORCH:
        return {**steps, END_TO_END: lambda: scorer.score(crops)}
    return steps


def _images(card: Card, count: int) -> list[Image]:
    """Seeded images for seeded weights; under trained ones, which rank faces, a face degraded step by step."""
    if card.weights.kind == "seeded" or not card.input.height or not card.input.width:
        return seeded_crops(card.input, count)
    return [image for image, _ in ParitySet(0, default_pictures(), (card.input.height, card.input.width))]


def _ready(contender: Contender, folder: Path, threads: int | None) -> Contender:
    """`contender`, prepared. Torch gets seeded weights by their seed, so that gigabytes of files need not be written
    for the largest networks."""
    weights = read_card(Path(contender.artefact)).weights
    if contender.backend == TORCH and weights.kind == "seeded":
        return replace(contender, weights=f"seeded:{weights.seed}")
    return prepare(contender, folder, threads)


def _score_name(scorer: Scorer) -> str:
    name = output_of("score", scorer.card.outputs)
    assert name is not None
    return name

"""Makes the table of docs/evidence/cpu.md: the steps from photo to scored faces, ours and those of OpenCV Zoo's demo.

    python -m fiqa_benchmarks.readme_tables.photos --engine engines/bench/ediffiqa-t.fp32.onnx --images photos/

It measures processor time over all photos with one thread, every step on its own, both flows in the same interleaved
rounds. Photos of more than 640 px are searched twice; only the last line shows that.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from fiqa_runtime.artefact.location import find_artefact
from fiqa_runtime.artefact.weight_files import locate
from fiqa_runtime.artefact.zoo import DETECTOR, MODELS
from fiqa_runtime.errors import InputError
from fiqa_runtime.faces.detector import CONFIDENCE, Detector, yunet_network
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.faces.yunet import decode, select
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.preprocess import prepare as to_tensor
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.system.host import limit_opencv
from fiqa_runtime.system.progress import Report, silent
from fiqa_runtime.terminal.console import progress_bar, run

from fiqa_benchmarks.contenders.peers import Contender, open_contender, prepare
from fiqa_benchmarks.photos.demo_flow import DemoFlow
from fiqa_benchmarks.readme_tables.speedups import markdown
from fiqa_benchmarks.speed.latency import Steps, measure
from fiqa_benchmarks.speed.roofline import measure_peaks

ROUNDS = 10
DETECTION, ALIGNMENT, SCORING, TOGETHER = "YuNet", "alignment", "scoring", "together"
TENSORS, NETWORK, DECODING = (f"{DETECTION}: {part}" for part in ("tensors", "network", "decoding"))

app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Profile:
    """Milliseconds of processor time over all photos, by step."""

    ours: dict[str, float]
    demo: dict[str, float]
    faces: int
    operations: int
    """Number of additions and multiplications of the quality network for one face."""

    def table(self) -> str:
        """A Markdown table; the detection of the demo is a single call."""
        names = [*self.ours, *(name for name in self.demo if name not in self.ours)]
        names.sort(key=lambda name: (name == TOGETHER, not name.startswith(DETECTION)))
        cells = [[f"{flow[name]:.1f}" if name in flow else "" for flow in (self.ours, self.demo)] for name in names]
        rows = [[name, *pair] for name, pair in zip(names, cells, strict=True)]
        return markdown(["processor time, ms", "ours", "OpenCV Zoo's demo"], rows)

    def rate(self) -> float:
        """Operations per second that our scoring reaches."""
        return 1e3 * self.faces * self.operations / self.ours[SCORING]


def profile(
    engine: Path, yunet: Path, photos: Sequence[Image], rounds: int = ROUNDS, report: Report = silent
) -> Profile:
    """Time both flows step by step on uint8 BGR `photos`, ours with the fastest backend that `engine` has here.

    Raises InputError where there is no photo, and what opening the engine and writing the plain export raise.
    """
    if not photos:
        raise InputError("no photos to time; name a folder with --images")
    limit_opencv(1)
    with tempfile.TemporaryDirectory(prefix="fiqa-bench-") as folder, ExitStack() as stack:
        plain = prepare(Contender("plain", str(engine), "opencv-plain"), Path(folder), 1)
        ready = prepare(Contender("ours", str(engine), "auto"), Path(folder), 1)
        scorer = stack.enter_context(open_contender(ready, 1))
        quality = FaceQuality(scorer, Detector(yunet, backend="onnxruntime", threads=1), "lmeds")
        demo = DemoFlow(yunet, Path(plain.artefact), scorer.card.input)
        faces = sum(len(quality.assess(photo)) for photo in photos)
        flows = measure(
            [_ours(quality, yunet, photos), _theirs(demo, photos)],
            rounds,
            report,
            "rounds over the photos",
            time.process_time,
        )
    ours, theirs = ({name: 1e3 * timing.percentile(50) for name, timing in flow.items()} for flow in flows)
    return Profile(ours, theirs, faces, 2 * MODELS[scorer.card.model].macs)


def _ours(quality: FaceQuality, yunet: Path, photos: Sequence[Image]) -> Steps:
    spec = MODELS["yunet-s"].input
    network = yunet_network(yunet, "onnxruntime", 1)
    tensors = [to_tensor([photo], spec) for photo in photos]
    heads = [network(tensor) for tensor in tensors]
    found = [quality.find(photo) for photo in photos]
    level, nms = np.float32(CONFIDENCE), np.float32(0.3)
    return {
        TENSORS: lambda: [to_tensor([photo], spec) for photo in photos],
        NETWORK: lambda: [network(tensor) for tensor in tensors],
        DECODING: lambda: [
            select(decode(each, tensor.shape[3], level), level, nms, 5000)
            for each, tensor in zip(heads, tensors, strict=True)
        ],
        ALIGNMENT: lambda: [
            quality.crop(photo, face.landmarks)
            for photo, each in zip(photos, found, strict=True)
            for face in each.faces
        ],
        SCORING: lambda: [quality.rate(each) for each in found],
        TOGETHER: lambda: [quality.assess(photo) for photo in photos],
    }


def _theirs(demo: DemoFlow, photos: Sequence[Image]) -> Steps:
    found = [demo.find(photo) for photo in photos]
    crops = [crop for photo, faces in zip(photos, found, strict=True) for crop in demo.crops(photo, faces)]
    return {
        DETECTION: lambda: [demo.find(photo) for photo in photos],
        ALIGNMENT: lambda: [demo.crops(photo, faces) for photo, faces in zip(photos, found, strict=True)],
        SCORING: lambda: [demo.score(crop) for crop in crops],
        TOGETHER: lambda: [demo.assess(photo) for photo in photos],
    }


@app.command()
def command(
    engine: Annotated[Path, typer.Option(help="ONNX artefact that takes 112 x 112 crops.")],
    images: Annotated[Path, typer.Option(help="Folder of photos.")],
    rounds: Annotated[int, typer.Option(min=1)] = ROUNDS,
) -> None:
    """Print a Markdown table of processor time by step, and what a matrix product reaches with one thread."""
    artefact = find_artefact(engine)
    photos = [read_image(path) for path in find_images([images])]
    with progress_bar() as report:
        found = profile(artefact, locate(DETECTOR), photos, rounds, report)
    peak = measure_peaks(1)["float32"]
    typer.echo(found.table())
    typer.echo(
        f"\n{len(photos)} photos, {found.faces} faces of {found.operations / 1e9:.3f} Gop each: scoring reaches "
        f"{found.rate() / 1e9:.0f} Gop/s, a float32 matrix product with one thread {peak / 1e9:.0f} Gop/s."
    )


if __name__ == "__main__":
    run(app)

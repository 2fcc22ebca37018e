"""Makes the table of docs/networks/mtcnn.md: what each detector takes for a photo, on every backend.

    python -m fiqa_benchmarks.readme_tables.detectors --engines engines --images photos/

It measures processor time with one thread, in interleaved rounds over all photos, and prints the median per photo.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Annotated

import typer
from fiqa_runtime.artefact.weight_files import locate
from fiqa_runtime.artefact.zoo import DETECTOR
from fiqa_runtime.backends import ONNX_BACKENDS
from fiqa_runtime.faces.detection import FaceFinder
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.mtcnn_detector import MtcnnDetector
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.system.host import limit_opencv
from fiqa_runtime.system.progress import Report, silent
from fiqa_runtime.terminal.console import progress_bar, run

from fiqa_benchmarks.readme_tables.speedups import markdown

ROUNDS = 5

app = typer.Typer(add_completion=False)
Clock = Callable[[], float]


def time_detectors(
    finders: Mapping[str, FaceFinder],
    photos: Sequence[Image],
    rounds: int = ROUNDS,
    report: Report = silent,
    clock: Clock = time.process_time,
) -> dict[str, list[float]]:
    """For each finder the median seconds of `clock` for each of uint8 BGR `photos`, finders by turns.

    A first round, in which the networks adapt to the sizes of the photos, does not count.
    """
    taken: dict[str, list[list[float]]] = {name: [[] for _ in photos] for name in finders}
    for done in range(rounds + 1):
        report("detectors", done, rounds + 1)
        for index, photo in enumerate(photos):
            for name, finder in finders.items():
                start = clock()
                finder.detect(photo)
                taken[name][index].append(clock() - start)
    return {name: [median(times[1:]) for times in each] for name, each in taken.items()}


@app.command()
def command(
    images: Annotated[Path, typer.Option(help="Folder of photos.")],
    engines: Annotated[Path, typer.Option(help="Folder with what `fiqa-export mtcnn` wrote.")] = Path("engines"),
) -> None:
    """Print the table."""
    photos = [read_image(path) for path in find_images([images])]
    limit_opencv(1)
    yunet = locate(DETECTOR)
    finders: dict[str, FaceFinder] = {}
    for backend in ONNX_BACKENDS:
        finders[f"YuNet, {backend}"] = Detector(yunet, backend=backend, threads=1)
        finders[f"MTCNN, {backend}"] = MtcnnDetector(engines / "mtcnn-p.fp32.onnx", backend=backend, threads=1)
    with progress_bar() as report:
        found = time_detectors(finders, photos, report=report)
    rows = [
        [name, *(f"{1e3 * value:.1f}" for value in (median(times), mean(times), max(times)))]
        for name, times in found.items()
    ]
    typer.echo(markdown(["ms of one core per photo", "median", "mean", "most"], rows))


if __name__ == "__main__":
    run(app)

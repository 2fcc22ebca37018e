"""``make eval-speed``: `fiqa-eval score` and `embed` against the bare backend on prepared tensors.

    python -m tests.endurance.evaluation [--images 512] [--rounds 7] [--threads 2] [--backend onnxruntime]

Both read JPEG files, hash them and keep what they find; the backend alone is given the same batches, prepared before
the clock starts. All are measured by turns; medians, and the median of the ratios within a round. The networks are
eDifFIQA(T) and its embedding under seeded weights, so that no file from outside is needed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from statistics import median

import numpy as np
from fiqa_benchmarks.speed.machine import machine, versions
from fiqa_evaluation.data_set.set_folder import IMAGES, PATHS, SetFolder, open_set, path_lines
from fiqa_evaluation.embedding.extract import embed_set
from fiqa_evaluation.embedding.recogniser import open_recogniser
from fiqa_evaluation.scores.score_set import score_set
from fiqa_export.pipeline import export
from fiqa_runtime.backends.base import Inputs
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.evaluation.data_sets import cut_embedding, face, jpeg

AIM = 0.95
"""Share of the bare backend's speed that is to be reached."""


def write_set(folder: Path, images: int) -> SetFolder:
    """A prepared set of drawn faces, each another file."""
    names = [f"{place:05d}" for place in range(images)]
    (folder / IMAGES).mkdir(parents=True)
    for place, name in enumerate(names):
        (folder / IMAGES / f"{name}.jpg").write_bytes(jpeg(face(place // 4, place % 4)))
    (folder / PATHS).write_text(path_lines(folder.name, names))
    return open_set(folder)


def batches(scorer: Scorer, crops: Sequence[Image]) -> Iterator[Inputs]:
    """What the commands feed for `crops`, which they take 64 at a time."""
    for start in range(0, len(crops), 64):
        yield from scorer.batches(crops[start : start + 64])


def taken(work: Callable[[], object]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(data: SetFolder, folder: Path, backend: str, threads: int | None, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round, by what was done."""
    engine = export("ediffiqa-t", "seeded", folder).path
    scorer = Scorer(engine, backend, threads)
    recogniser = open_recogniser(cut_embedding(engine, folder), "arcface", True, backend, threads)
    crops = [data.read(name) for name in data.names]
    mirrored = [np.ascontiguousarray(crop[:, ::-1]) for crop in crops]
    scored = list(batches(scorer, crops))
    embedded = [*batches(recogniser.scorer, crops), *batches(recogniser.scorer, mirrored)]
    fresh = (folder / f"round{number}" for number in count())

    def bare(used: Scorer, inputs: Sequence[Inputs]) -> None:
        for each in inputs:
            used.backend.run(each)

    turns: dict[str, Callable[[], object]] = {
        "backend, scores": lambda: bare(scorer, scored),
        "score": lambda: score_set(data, scorer, "M", next(fresh) / "scores.sqlite"),
        "backend, embeddings": lambda: bare(recogniser.scorer, embedded),
        "embed to .npy": lambda: embed_set(data, recogniser, next(fresh)),
        "embed to .npz": lambda: embed_set(data, recogniser, next(fresh).with_suffix(".npz")),
    }
    found: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds + 1):
        for name, turn in turns.items():
            seconds = taken(turn)
            if number:  # the first round warms up
                found[name].append(seconds)
    scorer.close()
    recogniser.close()
    return found


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="fiqa-eval score and embed against the bare backend.")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--backend", default="onnxruntime")
    given = parser.parse_args()
    here, known = machine(), versions()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_set(folder / "faces", given.images)
        found = measure(data, folder, given.backend, given.threads, given.rounds)
    packages = ", ".join(f"{package} {version}" for package, version in known.items())
    sys.stdout.write(f"{here['cpu']}, {here['usable_cores']:g} cores, load {here['load_average']}; {packages}\n")
    for ours, bare in (
        ("score", "backend, scores"),
        ("embed to .npy", "backend, embeddings"),
        ("embed to .npz", "backend, embeddings"),
    ):
        rates = [given.images / median(found[each]) for each in (ours, bare)]
        ratio = median(one / other for one, other in zip(found[bare], found[ours], strict=True))
        sys.stdout.write(
            f"{ours}: {rates[0]:.0f} images per second, backend alone {rates[1]:.0f}; median ratio {ratio:.3f}, "
            f"{AIM} {'reached' if ratio >= AIM else 'not reached'}\n"
        )


if __name__ == "__main__":
    main()

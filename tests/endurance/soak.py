"""``make soak``: hundreds of thousands of scores and frames, thousands of photos; memory and open files stay flat.

    python -m tests.endurance.soak [--scores 200000] [--photos 5000] [--frames 100000] [--backend onnxruntime]

The network has seeded weights, and the detector too, so that it needs no file from outside. What is kept after a
tenth of the run is compared with what is kept at its end.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import psutil
from fiqa_export.pipeline import export
from fiqa_runtime.faces.detection import Detection
from fiqa_runtime.faces.detector import Detector
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.reading import read_image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.live import BestShots, Frame, Frames, Meter, watch_staged
from fiqa_runtime.scoring.scorer import Scorer

from tests.help.live.moving_faces import face_at

MOST_GROWTH = 32 << 20
"""Bytes that resident memory may grow by from a tenth of a run to its end: allocators keep a little."""
BATCH = 8


def kept() -> tuple[int, int]:
    """Resident bytes and open files of this process."""
    process = psutil.Process()
    files = process.num_fds() if os.name == "posix" else process.num_handles()
    return process.memory_info().rss, files


def flat(what: str, unit: Callable[[int], int], total: int) -> bool:
    """Run `unit` until it has done `total`; tell whether memory and open files grew after the first tenth."""
    if not total:
        return True
    done, first, start = 0, None, time.perf_counter()
    while done < total:
        done += unit(done)
        if first is None and done >= total // 10:
            first = kept()
    last = kept()
    assert first is not None
    growth, files = last[0] - first[0], last[1] - first[1]
    good = growth <= MOST_GROWTH and files <= 0
    rate = done / (time.perf_counter() - start)
    sys.stdout.write(
        f"{what}: {done:,} at {rate:,.0f} per second, memory {growth / 2**20:+.1f} MB to {last[0] / 2**20:.0f} MB, "
        f"open files {files:+d}: {'flat' if good else 'NOT FLAT'}\n"
    )
    sys.stdout.flush()
    return good


def few_faces(yunet: Path, backend: str, photo: Path) -> Detector:
    """The detector, as sure of a face as of the third surest in `photo`; with seeded weights it would find hundreds."""
    found = Detector(yunet, backend=backend, threads=1).detect(read_image(photo))
    third = sorted((face.confidence for face in found), reverse=True)[2]
    return Detector(yunet, min_confidence=third, backend=backend, threads=1)


class Passers:
    """Finds two people who walk past: each comes, crosses the frame and leaves, for ever."""

    def __init__(self) -> None:
        self._calls = 0

    def detect(self, image: Image) -> list[Detection]:
        step = self._calls % 150
        self._calls += 1
        return [face_at(2 * step, 30 + 80 * n) for n in range(2)] if step < 110 else []


def watched(scorer: Scorer, path: Path, total: int) -> list[bool]:
    """One stream of `total` frames on three threads, and as many frames read from a file that is opened again and
    again."""
    if not total:
        return []
    images = [seeded_image(index, 240, 320) for index in range(30)]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 30, (320, 240))
    for image in images:
        writer.write(image)
    writer.release()
    stream = (Frame(index, index / 30, images[index % len(images)]) for index in count())
    shots = BestShots(FaceQuality(scorer, Passers()), emit_after=0.5)
    steps = watch_staged(shots, stream, Meter())
    ends = Counter[str]()

    def watch(_: int) -> int:
        ends.update(event.kind for event in next(steps)[1])
        return 1

    good = [flat("frames watched", watch, total), flat("frames read", lambda _: len(list(Frames(path))), total)]
    open_now = ends["started"] - ends["ended"]
    sys.stdout.write(f"people: {ends['started']:,} came, {ends['best']:,} best shots, {open_now} there at the end\n")
    return [*good, ends["ended"] <= ends["best"] <= ends["started"], open_now <= 2]


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Memory and open files over a long run.")
    parser.add_argument("--scores", type=int, default=200_000)
    parser.add_argument("--photos", type=int, default=5_000)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--backend", default="onnxruntime")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = export("ediffiqa-t", "seeded", folder).path
        yunet = export("yunet-n", "seeded", folder).path
        files = [folder / f"{index}{suffix}" for index in range(4) for suffix in (".png", ".jpg")]
        for index, file in enumerate(files):
            cv2.imwrite(str(file), seeded_image(index, 480, 640))
        crops = [seeded_image(index, 112, 112) for index in range(BATCH)]
        with Scorer(engine, given.backend, threads=1) as scorer:
            right = scorer.score(crops)
            quality = FaceQuality(scorer, few_faces(yunet, given.backend, files[0]))

            def score(_: int) -> int:
                np.testing.assert_array_equal(scorer.score(crops), right)
                return BATCH

            def photo(done: int) -> int:
                faces.update(found=len(quality.assess(read_image(files[done % len(files)]))))
                return 1

            faces = Counter[str]()
            good = [flat("scores", score, given.scores), flat("photos", photo, given.photos)]
            sys.stdout.write(f"faces in the photos: {faces['found']:,}\n")
            good += [bool(faces["found"]) or not given.photos]
            good += watched(scorer, folder / "clip.avi", given.frames)
    raise SystemExit(0 if all(good) else 3)


if __name__ == "__main__":
    main()

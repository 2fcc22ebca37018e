"""``make ray``: what Ray Data costs for each row, beyond a plain pool of processes that do the same.

    python -m tests.endurance.ray_rows [--few 1000] [--many 9000] [--rounds 3]

Both read the same Parquet file of crops (PNG, 112 x 112) in batches of the same size and score them by `FaceRows`, in
two processes of one thread each, eDifFIQA(T) with seeded weights. What counts is processor time of this process and all
that it started, as the system says it every tenth of a second; the start is left out, being that of a run over few.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from threading import Event, Thread

import cv2
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from fiqa_export.pipeline import export
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.rows import FaceRows
from fiqa_runtime.rows.ray import AT_ONCE, read_pictures, score_dataset
from fiqa_runtime.rows.stores import search_stores

from tests.help.servers.ray_clusters import one_node

PROCESSES = 2
DIFFERENT = 64
AIM = 2.0
"""Milliseconds of processor time for each row that Ray may cost."""


def write_crops(path: Path, count: int) -> Path:
    """A Parquet file of `count` crops with names of their own."""
    pictures = [cv2.imencode(".png", seeded_image(seed, 112, 112))[1].tobytes() for seed in range(DIFFERENT)]
    rows = {"id": [f"{row:06}" for row in range(count)], "bytes": [pictures[row % DIFFERENT] for row in range(count)]}
    pq.write_table(pa.table(rows), path, write_batch_size=16)
    return path


def used(work: Callable[[], int]) -> tuple[int, float]:
    """What `work` gives, and the seconds of processor time of this process and of all that it starts, meanwhile."""
    me, ended = psutil.Process(), Event()
    seen: dict[int, float] = {}

    def look() -> None:
        for process in [me, *me.children(recursive=True)]:
            try:
                times = process.cpu_times()
                seen[process.pid] = times.user + times.system
            except psutil.Error:
                continue

    def watch() -> None:
        while not ended.wait(0.1):
            look()

    look()
    before = sum(seen.values())
    watcher = Thread(target=watch)
    watcher.start()
    try:
        given = work()
        time.sleep(0.2)
    finally:
        ended.set()
        watcher.join()
    return given, sum(seen.values()) - before


def by_pool(rows: FaceRows, path: Path) -> int:
    """How many rows come out of a pool of processes."""
    batches = pq.ParquetFile(path).iter_batches(AT_ONCE)
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        return sum(found.num_rows for found in pool.map(rows, batches))


def by_ray(rows: FaceRows, path: Path) -> int:
    """How many rows come out of Ray's actors."""
    scored = score_dataset(read_pictures(search_stores([str(path)]).files), rows, actors=PROCESSES)
    return sum(batch.num_rows for batch in scored.iter_batches(batch_format="pyarrow", batch_size=None))


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Ray Data against a pool of processes.")
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--many", type=int, default=9000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, one_node(PROCESSES + 2):
        folder = Path(name)
        rows = FaceRows(export("ediffiqa-t", "seeded", folder).path, "onnxruntime", aligned=True)
        few, many = (write_crops(folder / f"{count}.parquet", count) for count in (given.few, given.many))
        costs: dict[str, list[float]] = {"pool": [], "Ray": []}
        for _ in range(given.rounds):
            for what, way in (("pool", by_pool), ("Ray", by_ray)):
                (some, short), (all_of, long) = (used(partial(way, rows, path)) for path in (few, many))
                assert (some, all_of) == (given.few, given.many)
                costs[what].append((long - short) / (given.many - given.few) * 1000)
    pool, ray = (median(costs[what]) for what in ("pool", "Ray"))
    sys.stdout.write(
        f"a row costs {pool:.2f} ms of processor time in the pool, {ray:.2f} ms by Ray: {ray - pool:+.2f} ms, "
        f"at most {AIM:g} {'reached' if ray - pool <= AIM else 'NOT REACHED'}\n"
    )
    raise SystemExit(0 if ray - pool <= AIM else 3)


if __name__ == "__main__":
    main()

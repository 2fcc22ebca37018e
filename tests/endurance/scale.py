"""``make scale``: ``fiqa-score`` over very many crops: two processes against one, what writing costs, memory.

    python -m tests.endurance.scale [--crops 4000] [--rounds 3] [--many 200000]

Crops are JPEG files of 112 x 112 under as many names as are asked for (hard links of some). The network has seeded
weights. One process has one thread, and two have one each; runs go by turns, and medians count. What writing costs is
the time of the outputs alone over the time of the run. Memory is that of the run over `--many` crops, every second.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import cv2
import psutil
from fiqa_export.pipeline import export
from fiqa_runtime.command.accounting import Account
from fiqa_runtime.command.batch import score_crops
from fiqa_runtime.command.written import Written
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.runs.journal import Journal
from fiqa_runtime.scoring.scorer import Scorer

DIFFERENT = 64
MOST_GROWTH = 32 << 20
"""Bytes that resident memory may grow by from a tenth of the run to its end."""


def make_crops(folder: Path, count: int) -> Path:
    """Files of `count` names in folders of 1,000, and the list of them."""
    first = []
    for index in range(DIFFERENT):
        first.append(folder / f"{index}.jpg")
        cv2.imwrite(str(first[-1]), seeded_image(index, 112, 112))
    names = []
    for index in range(count):
        place = folder / f"{index // 1000:04}"
        place.mkdir(exist_ok=True)
        names.append(place / f"{index:07}.jpg")
        os.link(first[index % DIFFERENT], names[-1])
    listed = folder / "list.txt"
    listed.write_text("".join(f"{name}\n" for name in names))
    return listed


def command(listed: Path, engine: Path, out: Path, workers: int) -> list[str]:
    files = ("--list", str(listed), "--aligned", "--engine", str(engine), "--backend", "onnxruntime")
    outputs = ("--csv", f"{out}.csv", "--jsonl", f"{out}.jsonl", "-q")
    return [sys.executable, "-m", "fiqa_runtime.cli", *files, *outputs, "--workers", str(workers)]


def seconds(line: list[str], threads: int) -> float:
    """Of one whole run, begun and ended."""
    start = time.perf_counter()
    subprocess.run([*line, "--threads", str(threads)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def two_against_one(folder: Path, engine: Path, crops: int, rounds: int) -> None:
    """Crops per second, the start of each run left out: it is that of a run over few."""
    few, all_of = folder / "few.txt", folder / "all.txt"
    names = (folder / "list.txt").read_text().splitlines(keepends=True)
    few.write_text("".join(names[:64]))
    all_of.write_text("".join(names[:crops]))
    rates: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(rounds):
        for workers in rates:
            out = folder / f"s{turn}-{workers}"
            begun = seconds(command(few, engine, Path(f"{out}-few"), workers), workers)
            rates[workers].append((crops - 64) / (seconds(command(all_of, engine, out, workers), workers) - begun))
    one, two = (median(rates[workers]) for workers in (1, 2))
    sys.stdout.write(f"--workers 1: {one:.0f} crops a second, --workers 2: {two:.0f}, ratio {two / one:.2f}\n")


def writing(folder: Path, engine: Path, crops: int) -> None:
    """Processor time of CSV and JSONL for results that are there already, over that of making them."""
    files = [Path(line) for line in (folder / "list.txt").read_text().splitlines()[:crops]]
    with Scorer(engine, "onnxruntime", threads=1) as scorer:
        start = time.process_time()
        results = [(result, None) for result, _ in score_crops(files, scorer)]
        made = time.process_time() - start
    outputs = [folder / "w.csv", folder / "w.jsonl"]
    written = Written(Journal(outputs, {}, False), outputs[0], outputs[1], None, [], False, None)
    start = time.process_time()
    written.consume(results, Account(len(files), {}))
    took = time.process_time() - start
    sys.stdout.write(f"CSV and JSONL with their journal: {took / made:.1%} of the time of the scores\n")


def memory(folder: Path, engine: Path, many: int) -> bool:
    """Whether resident memory of a run over `many` crops is flat after its first tenth."""
    line = command(folder / "list.txt", engine, folder / "many", 1)
    part = folder / "many.csv.part"
    seen: list[tuple[int, int]] = []
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as process:
        watched = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                size = part.stat().st_size if part.exists() else 0
                seen.append((size, watched.memory_info().rss))
            except (psutil.NoSuchProcess, FileNotFoundError):
                break
            time.sleep(1)
    if process.returncode != 0:
        raise SystemExit(f"the run over {many:,} crops ended with {process.returncode}")
    whole = (folder / "many.csv").stat().st_size
    later = [rss for size, rss in seen if size > whole // 10]
    growth = later[-1] - later[0]
    good = growth <= MOST_GROWTH
    told = f"{many:,} crops: memory {growth / 2**20:+.1f} MB to {later[-1] / 2**20:.0f} MB after the first tenth"
    sys.stdout.write(f"{told}: {'flat' if good else 'NOT FLAT'}\n")
    return good


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="fiqa-score over very many crops.")
    parser.add_argument("--crops", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--many", type=int, default=200_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_crops(folder, max(given.many, given.crops))
        engine = export("ediffiqa-t", "seeded", folder / "engine").path
        two_against_one(folder, engine, given.crops, given.rounds)
        writing(folder, engine, given.crops)
        raise SystemExit(0 if not given.many or memory(folder, engine, given.many) else 3)


if __name__ == "__main__":
    main()

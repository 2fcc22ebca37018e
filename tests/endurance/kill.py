"""``make kill``: commands are killed (SIGKILL) at random moments; what is left loads and is right, or is nothing.

    python -m tests.endurance.kill [--kills 100] [--resumes 50] [--seed 0]

Each command is then run once to its end, which has to succeed over whatever the kills have left, and no temporary file
may stay behind that its own rules would clear. The int8 export, which takes minutes, is killed within its first one and
not run to its end.

Then a run over many crops is killed again and again and goes on with ``--resume``, in one process and in two: its
outputs have to end byte for byte as those of a run that was never cut.
"""

from __future__ import annotations

import argparse
import csv
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import cv2
from fiqa_export.pipeline import export
from fiqa_export.publishing import STALE_SECONDS
from fiqa_runtime.errors import FiqaError
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.scoring.selftest import self_test

CROPS = 60
MANY = 1000
"""Crops of the runs that go on."""
LONG = {"int8 export": 40.0}
"""Seconds within which a command is killed that is never run to its end."""


def commands(folder: Path, engine: Path) -> dict[str, tuple[str, ...]]:
    """What is killed, by name: module and arguments."""
    crops, out = str(folder / "crops"), str(folder / "out")
    score = ("fiqa_runtime.cli", crops, "--aligned", "--engine", str(engine), "--backend", "onnxruntime")
    return {
        "export": ("fiqa_export.cli", "ediffiqa-t", "--weights", "seeded", "--out", out),
        "int8 export": (
            "fiqa_export.cli",
            "ediffiqa-t",
            "--weights",
            "seeded",
            "--int8",
            "--calib",
            "seeded",
            "--out",
            out,
        ),
        "score": (*score, "--csv", str(folder / "s.csv"), "--jsonl", str(folder / "s.jsonl"), "--resume"),
        "batch": (*score, "--overlay", str(folder / "o"), "--quality-file", str(folder / "q.txt")),
    }


def short(folder: Path, engine: Path) -> dict[str, tuple[str, ...]]:
    """Those that are run to their end too."""
    return {kind: arguments for kind, arguments in commands(folder, engine).items() if kind not in LONG}


def run(arguments: tuple[str, ...], seconds: float | None) -> int | None:
    """Exit code of a command, None where it was killed after `seconds`."""
    process = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def faults(folder: Path) -> list[str]:
    """What is left that loads and is wrong."""
    found = []
    for artefact in (folder / "out").glob("*.onnx"):
        try:
            with Scorer(artefact, "onnxruntime", threads=1) as scorer:
                if not self_test(scorer).passed:
                    found.append(f"{artefact.name} loads and is wrong")
        except FiqaError:
            continue  # refused, which is what a half-published artefact has to be
    table = folder / "s.csv"
    if table.exists() and len(list(csv.reader(table.open(encoding="utf-8")))) != CROPS + 1:
        found.append("s.csv is cut short")
    scores = folder / "q.txt"
    if scores.exists() and len(scores.read_text("utf-8").splitlines()) != CROPS:
        found.append("q.txt is cut short")
    for picture in (folder / "o").glob("*.png"):
        if cv2.imread(str(picture)) is None:
            found.append(f"{picture.name} is damaged")
    return found


def leftovers(folder: Path) -> list[str]:
    """Temporary files and workplaces that a run leaves to nobody: young workplaces may belong to a running export."""
    young = time.time() - STALE_SECONDS
    files = list(folder.rglob(".fiqa.*.tmp"))
    places = [path for path in folder.rglob(".export-*") if path.stat().st_mtime < young]
    return [str(path.relative_to(folder)) for path in (*files, *places)]


def resumed(folder: Path, engine: Path, kills: int, chance: random.Random) -> Iterator[str]:
    """What is wrong after runs that were killed `kills` times in all, and went on until they ended."""
    (folder / "many").mkdir()
    for index in range(MANY):
        cv2.imwrite(str(folder / f"many/{index:04}.jpg"), seeded_image(index, 112, 112))
    names = ("m.csv", "m.jsonl")
    outputs = [folder / name for name in names]
    score = ("fiqa_runtime.cli", str(folder / "many"), "--aligned", "--engine", str(engine), "--backend", "onnxruntime")
    command = (*score, "--csv", str(outputs[0]), "--jsonl", str(outputs[1]), "--resume")
    start = time.perf_counter()
    if run(command, None) != 0:
        yield "the run that is not killed fails"
    seconds = time.perf_counter() - start
    uncut = [path.read_bytes() for path in outputs]
    killed = 0
    for workers in cycle(("1", "2")):
        for path in outputs:
            path.unlink()
        while (code := run((*command, "--workers", workers), chance.uniform(0.3, 1.0) * seconds)) is None:
            killed += 1
        if code != 0 or [path.read_bytes() for path in outputs] != uncut:
            yield f"after {killed} kills --workers {workers} ends with {code}, or otherwise than an uncut run"
        if killed >= kills:
            return


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="Kill commands at random moments and look at what is left.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--resumes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    wrong: list[str] = []
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "crops").mkdir()
        for index in range(CROPS):
            cv2.imwrite(str(folder / f"crops/{index:03}.png"), seeded_image(index, 112, 112))
        engine = export("ediffiqa-t", "seeded", folder / "engine").path
        lasts = dict(LONG)
        for kind, arguments in short(folder, engine).items():
            start = time.perf_counter()
            code = run(arguments, None)
            lasts[kind] = time.perf_counter() - start
            if code != 0:
                wrong.append(f"{kind} ends with {code} by itself")
        for number in range(given.kills):
            kind, arguments = chance.choice(list(commands(folder, engine).items()))
            ended = run(arguments, chance.uniform(0.3, 1.0) * lasts[kind])
            outcomes[f"{kind}: {'killed' if ended is None else 'was faster'}"] += 1
            wrong += [f"kill {number} of {kind}: {fault}" for fault in faults(folder)]
        for kind, arguments in short(folder, engine).items():
            if run(arguments, None) != 0:
                wrong.append(f"{kind} does not run over what the kills have left")
        left = leftovers(folder)
        wrong += resumed(folder, engine, given.resumes, chance)
    told = ", ".join(f"{outcome} {count}" for outcome, count in sorted(outcomes.items()))
    told += f", {given.resumes} of runs that went on"
    sys.stdout.write(f"{given.kills} kills ({told}): {len(wrong)} wrong, {len(left)} leftovers\n")
    sys.stdout.writelines(f"  {line}\n" for line in (*wrong, *left))
    raise SystemExit(3 if wrong or left else 0)


if __name__ == "__main__":
    main()

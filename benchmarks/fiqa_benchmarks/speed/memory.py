"""Measures load time and peak memory of a contender in a process of its own, so that contenders do not add up.

python -m fiqa_benchmarks.speed.memory CONTENDER BATCHES THREADS    (JSON each; for :func:`footprint`)
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fiqa_runtime.errors import FiqaError, UnsupportedError
from fiqa_runtime.system.child import run_module

from fiqa_benchmarks.contenders.crops import seeded_crops
from fiqa_benchmarks.contenders.peers import Contender, open_contender


@dataclass(frozen=True)
class Footprint:
    """What a contender takes in a process of its own."""

    load_seconds: float
    """Seconds until the contender is ready: importing the backend, reading the files, building the network."""
    peak_bytes: dict[int, int]
    """Largest resident memory so far, with Python, numpy and OpenCV, by batch size."""


def footprint(contender: Contender, batches: Sequence[int], threads: int | None = None) -> Footprint:
    """Load `contender` in a fresh process and run seeded images, batch sizes in ascending order.

    This also shows whether the backend survives the network: raises UnsupportedError where it fails or takes
    its process down.
    """
    arguments = map(json.dumps, (asdict(contender), sorted(batches), threads))
    result = run_module("fiqa_benchmarks.speed.memory", *arguments)
    if result.returncode == 0:
        load_seconds, peaks = json.loads(result.stdout.splitlines()[-1])
        return Footprint(load_seconds, dict(peaks))
    file = Path(contender.artefact).name
    if result.returncode == FiqaError.exit_code and result.stderr:
        raise UnsupportedError(result.stderr.splitlines()[-1])
    reason = f"was killed by signal {-result.returncode}" if result.returncode < 0 else "failed"
    detail = f" ({result.stderr.splitlines()[-1]})" if result.stderr else ""
    raise UnsupportedError(f"{contender.backend} {reason} while it ran {file}{detail}; leave it out or export again")


def peak_resident_bytes() -> int:
    """Largest resident memory of this process so far.

    On Linux it is VmHWM; `getrusage` would start from the memory of the parent, which is carried over exec.
    """
    if sys.platform == "linux":
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        assert found
        return int(found[1]) * 1024
    import psutil

    memory = psutil.Process().memory_info()
    if sys.platform == "win32":
        return int(memory.peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _child(contender: Contender, batches: Sequence[int], threads: int | None) -> tuple[float, list[Any]]:
    start = time.perf_counter()
    with open_contender(contender, threads) as scorer:
        load_seconds = time.perf_counter() - start
        peaks = []
        for batch in batches:
            scorer.outputs(seeded_crops(scorer.card.input, batch))
            peaks.append((batch, peak_resident_bytes()))
    return load_seconds, peaks


def main() -> None:
    """Entry point of the measured process."""
    contender, batches, threads = (json.loads(argument) for argument in sys.argv[1:])
    try:
        sys.stdout.write(json.dumps(_child(Contender(**contender), batches, threads)) + "\n")
    except FiqaError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()

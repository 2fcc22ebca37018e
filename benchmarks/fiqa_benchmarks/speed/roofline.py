"""Measures what share of this machine's peak a network reaches: its operations beside the fastest matrix products
here."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.system.host import thread_limit

from fiqa_benchmarks.speed.bench import NETWORK, Result

SIDE = 1024
"""Rows and columns of the matrices."""
SECONDS = 0.4
"""Seconds of measuring for each kind of number; the fastest product counts."""


@dataclass(frozen=True)
class Reached:
    """What one contender reaches at one batch size."""

    contender: str
    batch: int
    operations: int
    """Additions and multiplications of convolutions and matrix products for one image."""
    per_second: float
    """Number of these per second, at the median latency."""
    arithmetic: str
    """The kind of number whose peak the fraction refers to."""
    fraction: float | None
    """Share of this CPU's peak; None where the peak is not known, and on a GPU."""

    def __str__(self) -> str:
        part = "" if self.fraction is None else f", {self.fraction:.0%} of the {self.arithmetic} peak"
        return (
            f"{self.contender}, batch {self.batch}: {self.operations / 1e9:.3g} Gop per image, "
            f"{self.per_second / 1e9:.0f} Gop/s{part}"
        )


def measure_peaks(threads: int | None = None) -> dict[str, float]:
    """Operations per second of matrix products by kind of number: `float32`, with torch also `bfloat16` and `int8`.

    torch gets `threads`, or what a container grants, for the whole process. numpy's BLAS keeps its own number of
    threads; so where a number is given and torch is installed, only torch is measured.
    """
    threads = threads or thread_limit()
    random = np.random.default_rng(0)
    left, right = (random.standard_normal((SIDE, SIDE), np.float32) for _ in range(2))
    if not find_spec("torch"):
        return {"float32": _rate(lambda: left @ right)}
    import torch

    peaks = {"float32": 0.0 if threads else _rate(lambda: left @ right)}

    if threads:
        torch.set_num_threads(threads)
    floats = torch.from_numpy(left), torch.from_numpy(right)
    halves = [matrix.bfloat16() for matrix in floats]
    bytes_ = [(16 * matrix).clamp(-127, 127).to(torch.int8) for matrix in floats]
    with torch.inference_mode():
        peaks["float32"] = max(peaks["float32"], _rate(lambda: floats[0] @ floats[1]))
        peaks["bfloat16"] = _rate(lambda: halves[0] @ halves[1])
        peaks["int8"] = _rate(lambda: torch._int_mm(*bytes_))
    return peaks


def reached(results: Sequence[Result], peaks: Mapping[str, float]) -> list[Reached]:
    """What every contender of :func:`fiqa_benchmarks.speed.bench.bench` reaches whose network has a fixed size."""
    found = []
    for result in results:
        if result.loaded is None or result.loaded.card.model not in MODELS:
            continue
        card = result.loaded.card
        if card.input.height is None:
            continue
        arithmetic = "int8" if card.precision == "int8" else result.loaded.backend["arithmetic"]
        on_cpu = result.loaded.backend["device"] == "cpu"
        operations = 2 * MODELS[card.model].macs
        for batch, outcome in result.batches.items():
            rate = batch * operations / outcome.timings[NETWORK].percentile(50)
            fraction = rate / peaks[arithmetic] if arithmetic in peaks and on_cpu else None
            found.append(Reached(result.contender.name, batch, operations, rate, arithmetic, fraction))
    return found


def roofline_lines(peaks: Mapping[str, float], networks: Sequence[Reached]) -> list[str]:
    """Lines for people."""
    kinds = ", ".join(f"{value / 1e9:.0f} Gop/s {kind}" for kind, value in peaks.items())
    return [f"Roofline: {SIDE} x {SIDE} matrix products here {kinds}", *(f"  {network}" for network in networks)]


def roofline_json(peaks: Mapping[str, float], networks: Sequence[Reached]) -> dict[str, Any]:
    """Plain data for the JSON document."""
    return {"matrix": SIDE, "peaks": dict(peaks), "contenders": [asdict(network) for network in networks]}


def _rate(product: Callable[[], object]) -> float:
    product()
    fastest = float("inf")
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        product()
        fastest = min(fastest, time.perf_counter() - start)
    return 2 * SIDE**3 / fastest

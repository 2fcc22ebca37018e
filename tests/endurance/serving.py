"""``make serving``: fiqa-serve under 32 clients against the scorer alone, and 10,000 fuzzed requests.

    python -m tests.endurance.serving [--clients 32] [--seconds 10] [--rounds 3] [--requests 10000]

The server is a process of its own on this machine, and so are its clients, which take their share of the cores. By
turns, `Scorer` scores batches of 8 alone, and clients ask for 8 crops, and for one, in binary, each as soon as it has
its answer: crops per second (medians) and how long an answer takes. Then come requests that are almost right: none may
end in a 500, and the server's memory and open files stay flat. The network has seeded weights, and the detector is a
stand-in, so that no file from outside is needed.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from threading import Thread

import numpy as np
import psutil
from fiqa_export.pipeline import export
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer

from tests.endurance.soak import MOST_GROWTH
from tests.help.fuzzed_requests import fuzzed_request, send, status_of
from tests.help.servers.served import CODE, place_of

BATCH = 8
GOAL = 0.9
"""Share of the scorer's throughput at batch 8 that the clients get together."""
INFER = "/v2/models/ediffiqa-t-fp32/infer"
AT_ONCE = 4
"""Fuzzed requests at a time."""


def start(engine: Path, backend: str) -> subprocess.Popen[str]:
    """The server, with as many threads as it takes by itself."""
    line = [sys.executable, "-c", CODE, "--engine", str(engine), "--backend", backend, "--port", "0"]
    return subprocess.Popen(line, stderr=subprocess.PIPE, text=True)


def drain(server: subprocess.Popen[str]) -> None:
    """Read what the libraries in the server say of damaged pictures: a pipe that is full would hold it up."""
    assert server.stderr is not None
    for _ in server.stderr:
        pass


def request_for(count: int) -> bytes:
    """A whole request for the scores of so many crops, in binary."""
    crops = np.stack([seeded_image(index, 112, 112) for index in range(count)])
    known = {"binary_data_size": crops.nbytes}
    entry = {"name": "input", "datatype": "UINT8", "shape": list(crops.shape), "parameters": known}
    text = json.dumps({"inputs": [entry], "parameters": {"binary_data_output": True}}).encode()
    head = (
        f"POST {INFER} HTTP/1.1\r\nHost: localhost\r\nInference-Header-Content-Length: {len(text)}\r\n"
        f"Content-Length: {len(text) + crops.nbytes}\r\n\r\n"
    )
    return head.encode() + text + crops.tobytes()


def one_client(place: str, request: bytes, seconds: float) -> list[float]:
    """Ask again and again over one connection; how long each answer took that came within these seconds."""
    host, port = place.split(":")
    times = []
    with socket.create_connection((host, int(port))) as connection:
        stream = connection.makefile("rb")
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            connection.sendall(request)
            status, length = stream.readline(), 0
            while (line := stream.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            stream.read(length)
            assert status.startswith(b"HTTP/1.1 200 "), status
            if (now := time.perf_counter()) < end:
                times.append(now - began)
    return times


def many_clients(place: str, count: int, clients: int, seconds: float) -> list[float]:
    """The times of all clients, which are threads of this process."""
    request = request_for(count)
    with ThreadPoolExecutor(clients) as pool:
        return list(chain(*pool.map(lambda _: one_client(place, request, seconds), range(clients))))


def scorer_rate(scorer: Scorer, seconds: float) -> float:
    """Crops per second of the scorer alone at batch 8."""
    crops = [seeded_image(index, 112, 112) for index in range(BATCH)]
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        scorer.score(crops)
        done += BATCH
    return done / (time.perf_counter() - start)


def compare(engine: Path, backend: str, place: str, given: argparse.Namespace) -> bool:
    """Whether clients get the share of the scorer's throughput that is the goal."""
    alone: list[float] = []
    rates: dict[int, list[float]] = {BATCH: [], 1: []}
    times: dict[int, list[float]] = {BATCH: [], 1: []}
    with Scorer(engine, backend) as scorer, ProcessPoolExecutor(1, get_context("spawn")) as other:
        scorer_rate(scorer, 1)
        for _ in range(given.rounds):
            alone.append(scorer_rate(scorer, given.seconds))
            for count in rates:
                asked = other.submit(many_clients, place, count, given.clients, given.seconds).result()
                rates[count].append(count * len(asked) / given.seconds)
                times[count] += asked
    sys.stdout.write(f"Scorer alone at batch {BATCH}: {median(alone):.0f} crops per second\n")
    for count, found in rates.items():
        p50, p99 = np.percentile(times[count], (50, 99)) * 1000
        sys.stdout.write(
            f"{given.clients} clients with {count} crops each: {median(found):.0f} crops per second, "
            f"{median(found) / median(alone):.2f} of the scorer, p50 {p50:.0f} ms, p99 {p99:.0f} ms\n"
        )
    sys.stdout.flush()
    return median(rates[BATCH]) >= GOAL * median(alone)


def fuzz(place: str, server: psutil.Process, requests: int, first: int) -> bool:
    """Whether no request ended in a 5xx, and the server kept nothing of them."""

    def ask(number: int) -> int:
        data, whole = fuzzed_request(number)
        status = status_of(send(place, data, whole))
        if status >= 500 or (whole and not status):
            sys.stdout.write(f"request {number}: {status}\n")
        return status

    def kept() -> tuple[int, int]:
        return server.memory_info().rss, server.num_fds() if os.name == "posix" else server.num_handles()

    def all_of(numbers: Sequence[int]) -> Counter[int]:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return Counter(pool.map(ask, numbers))

    began = time.perf_counter()
    found = all_of(range(first, first + requests // 10))
    before = kept()
    found += all_of(range(first + requests // 10, first + requests))
    growth, files = kept()[0] - before[0], kept()[1] - before[1]
    good = growth <= MOST_GROWTH and files <= AT_ONCE and not any(status >= 500 for status in found)
    told = ", ".join(f"{count:,} x {status or 'no answer'}" for status, count in sorted(found.items()))
    sys.stdout.write(
        f"{requests:,} fuzzed requests in {time.perf_counter() - began:.0f} s: {told}; memory {growth / 2**20:+.1f} MB "
        f"after the first tenth, open files {files:+d}: {'flat' if good else 'NOT GOOD'}\n"
    )
    return good


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description="fiqa-serve under load, and under requests that are almost right.")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="Number of the first fuzzed request; others than before.")
    parser.add_argument("--backend", default="onnxruntime")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        engine = export("ediffiqa-t", "seeded", Path(name)).path
        server = start(engine, given.backend)
        try:
            place = place_of(server)
            Thread(target=drain, args=(server,), daemon=True).start()
            good = [compare(engine, given.backend, place, given)] if given.rounds else []
            good.append(fuzz(place, psutil.Process(server.pid), given.requests, given.first))
        finally:
            server.terminate()
            server.wait()
        good.append(server.returncode == 0)
    raise SystemExit(0 if all(good) else 3)


if __name__ == "__main__":
    main()

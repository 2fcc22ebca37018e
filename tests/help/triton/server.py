"""NVIDIA's tritonserver on the loopback interface, as the package `nvidia-pytriton` brings it: with its python backend.

``FIQA_TRITON`` names the python of an environment with that package, numpy 1.26, and this project
(docs/guides/serving.md); `.ci/run` makes one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.help.limits import HANGS

VARIABLE = "FIQA_TRITON"
ASK = "import sys, sysconfig; print(sysconfig.get_path('purelib'), '%d.%d' % sys.version_info[:2])"
TAKEN = "Address already in use"


@dataclass(frozen=True)
class Served:
    """Where it answers, as host:port."""

    http: str
    grpc: str


def triton_python() -> Path:
    """The python of that environment; skips where there is none."""
    named = os.environ.get(VARIABLE)
    if not named:
        pytest.skip(f"set {VARIABLE} to the python of an environment with nvidia-pytriton (docs/guides/serving.md)")
    return Path(named)


@contextmanager
def triton_server(python: Path, repository: Path, models: Sequence[str], scratch: Path) -> Iterator[Served]:
    """Serve `models` of `repository`, which are ready; others may be loaded on request. `scratch` is empty."""
    said = subprocess.run([python, "-c", ASK], capture_output=True, text=True, check=True).stdout.split()
    packages, version = Path(said[0]), said[1]
    server = packages / "pytriton/tritonserver"
    backend = scratch / "backends/python"
    backend.mkdir(parents=True)
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    for file in (*(server / "backends/python").glob("*.*"), stub):
        (backend / file.name).symlink_to(file)
    line: list[Path | str]
    line = [server / "bin/tritonserver", f"--model-repository={repository}", f"--backend-directory={backend.parent}"]
    line += ["--model-control-mode=explicit", *(f"--load-model={model}" for model in models)]
    line += ["--http-address=127.0.0.1", "--grpc-address=127.0.0.1", "--allow-metrics=false", "--http-thread-count=4"]
    settings = {
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
        "LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs"),
    }
    log = scratch / "log"
    with log.open("wb") as written:
        process, found = _started(line, {**os.environ, **settings}, log, written.fileno())
    try:
        yield found
    finally:
        _end(process)


def _started(
    line: list[Path | str], environment: dict[str, str], log: Path, written: int
) -> tuple[subprocess.Popen[bytes], Served]:
    """The server once it is ready; another process may take a port that was free, then it is tried again."""
    for _ in range(5):
        ports = _free_ports(2)
        given = [f"--http-port={ports[0]}", f"--grpc-port={ports[1]}"]
        process = subprocess.Popen([*line, *given], stdout=written, stderr=written, env=environment)
        if _ready(process, ports[0]):
            return process, Served(*(f"127.0.0.1:{port}" for port in ports))
        _end(process)
        told = log.read_text("utf-8", errors="replace")
        assert TAKEN in told, told
        os.truncate(log, 0)
    raise AssertionError("no port stays free")


def _ready(process: subprocess.Popen[bytes], port: int) -> bool:
    """Whether it has become ready; False where it has ended."""
    end = time.monotonic() + HANGS
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=HANGS) as answer:
                if answer.status == 200:
                    return True
        except OSError:
            time.sleep(0.05)
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(HANGS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports

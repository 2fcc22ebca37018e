"""Servers on the loopback interface: in a thread of this process, or as the command in one of its own."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fiqa_runtime.artefact.card import Card
from fiqa_runtime.backends import open_backend
from fiqa_runtime.backends.base import Arrays, Inputs
from fiqa_runtime.faces.face_quality import FaceQuality
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.images.seeded import seeded_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.serve.application import application
from fiqa_runtime.serve.limits import Limits
from fiqa_runtime.serve.listening import listen, server_for
from fiqa_runtime.serve.service import Service

from tests.help.limits import HANGS
from tests.help.samples.one_face import OneFace

PATIENT = Limits(seconds=HANGS, head_seconds=HANGS)
"""Limits of time that no test comes near."""
CODE = """
from fiqa_runtime.command.settings import FaceSettings
from fiqa_runtime.serve_cli import main
from tests.help.samples.one_face import OneFace
FaceSettings.open_detector = lambda *_: OneFace()
main()
"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def is_problem(self, status: int, *parts: str) -> bool:
        """Problem details with that status, whose detail holds every one of `parts`."""
        if self.status != status or self.headers["content-type"] != "application/problem+json":
            return False
        told = self.json
        assert told["status"] == status and told["type"] == "about:blank" and told["title"]
        return told["detail"] == told["error"] and all(part in told["detail"] for part in parts)


def ask(place: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    """The answer of the server at `place` (host:port); underscores in the names of headers stand for hyphens."""
    connection = http.client.HTTPConnection(place, timeout=HANGS)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request("GET" if body is None else "POST", path, body, named)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


def until(done: Callable[[], Any]) -> Any:
    """What `done` gives once that is something."""
    end = time.monotonic() + HANGS
    while not (found := done()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


class HeldBackend:
    """ONNX Runtime that waits for `free` before each run, and lists the sizes of its batches."""

    name = "held"

    def __init__(self, artefact: Path, card: Card) -> None:
        self._inner = open_backend("onnxruntime", artefact, card, 1)
        self.info = self._inner.info
        self.free = threading.Event()
        self.free.set()
        self.began = threading.Semaphore(0)
        self.sizes: list[int] = []

    def run(self, inputs: Inputs) -> Arrays:
        self.sizes.append(len(inputs["input"]))
        self.began.release()
        assert self.free.wait(HANGS)
        return self._inner.run(inputs)

    def close(self) -> None:
        self._inner.close()


@contextmanager
def service_for(scorer: Scorer, limits: Limits = PATIENT, finder: Any = None) -> Iterator[Service]:
    """A service that has passed its self-test, and finds one face in every photo."""
    service = Service(scorer, FaceQuality(scorer, finder or OneFace()), limits)
    service.ready = True
    try:
        yield service
    finally:
        service.close()


@contextmanager
def served(service: Service, token: str | None = None, local: bool = True) -> Iterator[str]:
    """Where `service` is served, as host:port."""
    server = server_for(application(service, token, local), service.limits)
    with listen("127.0.0.1", 0) as bound:
        place = f"127.0.0.1:{bound.getsockname()[1]}"
        bound.listen()  # whoever asks before the server has begun waits
        thread = threading.Thread(target=server.run, args=([bound],))
        thread.start()
        try:
            yield place
        finally:
            server.should_exit = True
            thread.join()


def command(*arguments: object, **settings: Any) -> subprocess.Popen[str]:
    """``fiqa-serve`` in a process of its own, on a free port."""
    line = [sys.executable, "-c", CODE, *map(str, arguments)]
    line += ["--port", "0", "--backend", "onnxruntime", "--threads", "1"]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **settings)


def place_of(process: subprocess.Popen[str]) -> str:
    """Where it answers, once it is ready."""
    assert process.stderr is not None
    told = process.stderr.readline()
    found = re.search(r"http://([\d.:]+)/", told)
    assert found is not None, told + process.stderr.read()
    ready = process.stderr.readline()
    assert ready.startswith("ready: self-test passed"), ready
    return found[1]


def picture(suffix: str = ".png", seed: int = 0, height: int = 96, width: int = 128) -> tuple[bytes, Image]:
    """The bytes of a picture, and what they decode to."""
    data = cv2.imencode(suffix, seeded_image(seed, height, width))[1].tobytes()
    return data, np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)

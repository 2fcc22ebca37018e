"""Time, number and readiness: what a server does not do for anybody without end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fiqa_runtime.artefact.card import read_card
from fiqa_runtime.errors import ArtefactError
from fiqa_runtime.images.preprocess import Image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.serve.limits import HELD
from fiqa_runtime.serve.service import Service

from tests.help.limits import HANGS
from tests.help.samples.one_face import OneFace
from tests.help.servers.served import PATIENT, Answer, HeldBackend, ask, picture, served, service_for, until

INFER = "/v2/models/ediffiqa-t-fp32/infer"
SHORT = 0.3
"""Seconds that pass while a client does nothing."""
LONGER = (0.5, 5, 60)
"""Seconds in which a busy machine does at last what an idle one does at once."""


class Waiting(OneFace):
    """A detector that waits for `free`."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.began = threading.Semaphore(0)

    def detect(self, image: Image) -> list[Any]:
        self.began.release()
        assert self.free.wait(HANGS)
        return super().detect(image)


def connected(place: str) -> socket.socket:
    host, port = place.split(":")
    return socket.create_connection((host, int(port)), HANGS)


def rest_of(client: socket.socket) -> bytes:
    """What still comes before the server closes the connection; nothing where it resets it."""
    parts = []
    try:
        while part := client.recv(1 << 16):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@contextmanager
def asking(place: str, path: str, body: bytes) -> Iterator[list[Answer]]:
    """Ask in another thread; the answer is in the list after the block."""
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(ask(place, path, body)))
    thread.start()
    try:
        yield answers
    finally:
        thread.join()


def test_more_requests_than_places_get_429(scorer: Scorer) -> None:
    data, _ = picture()
    finder = Waiting()
    with service_for(scorer, replace(PATIENT, requests=1), finder) as service, served(service) as place:
        with asking(place, "/faces", data) as answers:
            assert finder.began.acquire(timeout=HANGS)
            assert ask(place, "/v2/health/ready").status == 200
            assert "fiqa_serve_under_way 1" in ask(place, "/metrics").body.decode()
            refused = [ask(place, "/faces", data), ask(place, INFER, b"{}")]
            finder.free.set()
        assert answers[0].status == 200 and ask(place, "/faces", data).status == 200
    for each in refused:
        assert each.is_problem(429, "1 requests are under way") and each.headers["retry-after"] == "1"


def test_bodies_hold_so_much_memory_and_no_more(scorer: Scorer) -> None:
    data, _ = picture()
    finder = Waiting()
    limits = replace(PATIENT, body=len(data))
    with service_for(scorer, limits, finder) as service, served(service) as place:
        clients = []
        for _ in range(HELD):  # each has sent all of its body but a byte
            client = connected(place)
            client.sendall(b"POST /faces HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(data))
            client.sendall(data[:-1])
            clients.append(client)
        held = HELD * (len(data) - 1)
        until(lambda: service.bodies.held == held)
        assert ask(place, "/faces", data).is_problem(429, "other requests hold")
        for client in clients:
            client.close()
        until(lambda: not service.bodies.held)
        finder.free.set()
        assert ask(place, "/faces", data).status == 200


def test_a_slow_body_gets_408(scorer: Scorer) -> None:
    with service_for(scorer, replace(PATIENT, seconds=SHORT)) as service, served(service) as place:
        with connected(place) as client:
            client.sendall(b"POST /faces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
            assert client.recv(1 << 16).startswith(b"HTTP/1.1 408 ")
        assert service.bodies.held == 0


def test_slow_work_gets_503(seeded_engine: Path) -> None:
    backend = HeldBackend(seeded_engine, read_card(seeded_engine))
    backend.free.clear()
    with Scorer(seeded_engine, backend) as scorer:
        for seconds in LONGER:
            with service_for(scorer, replace(PATIENT, seconds=seconds)) as service, served(service) as place:
                answer = ask(place, "/faces", picture()[0])
                backend.free.set()
            if answer.status != 408:  # a machine so busy that the body did not come in time
                break
            backend.free.clear()
    assert answer.is_problem(503, f"longer than {seconds:g} seconds") and answer.headers["retry-after"] == "1"


def test_slow_headers_end_the_connection(scorer: Scorer) -> None:
    limits = replace(PATIENT, head_seconds=SHORT)
    with service_for(scorer, limits) as service, served(service) as place, connected(place) as silent:
        with connected(place) as slow:
            slow.sendall(b"GET /v2 HTTP/1.1\r\nHost: local")
            assert rest_of(slow) == b""
        assert rest_of(silent) == b""


@pytest.mark.parametrize(
    ("request_head", "status", "more"),
    [(b"GET /v2 HTTP/1.1\r\n", b"200", b"GET"), (b"POST /nothing HTTP/1.1\r\nContent-Length: 99\r\n", b"404", b"a")],
    ids=["the next request does not end", "a body that nobody wants does not end"],
)
def test_a_connection_ends_after_its_answer(scorer: Scorer, request_head: bytes, status: bytes, more: bytes) -> None:
    for seconds in LONGER:
        limits = replace(PATIENT, head_seconds=seconds)
        with service_for(scorer, limits) as service, served(service) as place, connected(place) as client:
            client.sendall(request_head + b"Host: localhost\r\n\r\n")
            answer = client.recv(1 << 16)
            client.sendall(more)
            rest_of(client)
        if answer:  # else the machine was so busy that the headers did not come in time
            break
    assert answer.startswith(b"HTTP/1.1 " + status)


def test_bodies_in_parts_and_without_a_length(place: str) -> None:
    data, _ = picture()
    with connected(place) as client:
        client.sendall(
            b"POST /faces HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        for at in range(0, len(data), 1000):
            part = data[at : at + 1000]
            client.sendall(b"%x\r\n%s\r\n" % (len(part), part))
        client.sendall(b"0\r\n\r\n")
        assert rest_of(client).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_leaves_takes_nothing_along(place: str, service: Service) -> None:
    with connected(place) as client:
        client.sendall(b"POST /faces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\nabc")
        until(lambda: service.bodies.held)
    until(lambda: not service.bodies.held and not service.under_way)
    assert ask(place, "/faces", picture()[0]).status == 200


def test_nothing_is_scored_before_the_self_test(scorer: Scorer) -> None:
    with service_for(scorer) as service, served(service) as place:
        service.ready = False
        assert ask(place, "/v2/health/live").status == 200
        for path in ("/v2/health/ready", "/v2/models/ediffiqa-t-fp32/ready"):
            assert ask(place, path).is_problem(503, "the self-test is not done")
        for path in ("/faces", INFER):
            refused = ask(place, path, b"{}")
            assert refused.is_problem(503, "the self-test is not done") and refused.headers["retry-after"] == "1"
        assert service.check().passed
        assert ask(place, "/v2/health/ready").status == 200 and ask(place, "/faces", picture()[0]).status == 200


def test_a_failing_engine_is_503(seeded_engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = HeldBackend(seeded_engine, read_card(seeded_engine))
    with Scorer(seeded_engine, backend) as scorer, service_for(scorer) as service, served(service) as place:

        def full(_: object) -> Any:
            raise MemoryError

        def broken(_: object) -> Any:
            raise ArtefactError("broken")

        monkeypatch.setattr(backend, "run", full)
        assert ask(place, "/faces", picture()[0]).is_problem(503, "not enough memory")
        monkeypatch.setattr(backend, "run", broken)
        assert ask(place, "/faces", picture()[0]).is_problem(503, "the engine failed: broken")

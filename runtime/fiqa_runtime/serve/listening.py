"""The process that listens: its socket, the time that a client may take, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import Thread
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from fiqa_runtime.errors import InputError
from fiqa_runtime.serve.limits import CONNECTIONS, KEEP_ALIVE, LARGEST_HEAD, Limits
from fiqa_runtime.system.stopping import stopping


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound to `host` and `port`, 0 being any free one. Raises InputError where that cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"--host {host} cannot be used: {reason}; write 127.0.0.1 or 0.0.0.0") from error
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        bound.close()
        reason = error.strerror or error
        raise InputError(f"cannot listen on {host} port {port}: {reason}; choose another --port or --host") from error
    return bound


def server_for(app: ASGIApp, limits: Limits) -> Server:
    """What answers with `app` within `limits`."""
    logging.getLogger("uvicorn.error").addFilter(_is_of_interest)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    config = uvicorn.Config(
        app,
        http=cast(Any, partial(PatientProtocol, limits=limits)),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(2 * limits.seconds) + 1,
        h11_max_incomplete_event_size=LARGEST_HEAD,
    )
    return Server(config)


def _is_of_interest(record: logging.LogRecord) -> bool:
    """Whether a line of the log says more than that a request was broken off, which a second Ctrl-C does."""
    return record.exc_info is None or not isinstance(record.exc_info[1], asyncio.CancelledError)


def serve(server: Server, bound: socket.socket, begin: Callable[[], None]) -> None:
    """Answer requests until SIGINT or SIGTERM comes, and then those that are under way.

    `begin` is called in a thread beside it; what it raises ends the server, and is raised here.
    """
    failures: list[Exception] = []

    def beginning() -> None:
        try:
            begin()
        except Exception as error:  # whatever it is, it is raised where the server was asked for
            failures.append(error)
            server.should_exit = True

    Thread(target=beginning, name="begin", daemon=True).start()
    server.run([bound])
    if failures:
        raise failures[0]


class Server(uvicorn.Server):
    """uvicorn's server with our way to take signals: after a graceful stop the command ends with 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Inside, the first SIGINT or SIGTERM stops the server, and a second Ctrl-C ends it at once."""

        def stop() -> None:
            self.should_exit = True

        with stopping(stop):
            yield


class PatientProtocol(H11Protocol):
    """uvicorn's protocol, which has patience, but not without end: it closes what sends headers too slowly, goes on
    with a body that nobody wants, or does not read its answer."""

    def __init__(self, *arguments: Any, limits: Limits, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._limits = limits
        self._head: asyncio.TimerHandle | None = None
        self._answer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            _cancel(self._head)
            self._head = None
        elif self._head is None:
            self._wait_for_head()

    def pause_writing(self) -> None:
        super().pause_writing()
        _cancel(self._answer)
        self._answer = self.loop.call_later(self._limits.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        _cancel(self._answer)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        _cancel(self._head)
        _cancel(self._answer)

    def _wait_for_head(self) -> None:
        self._head = self.loop.call_later(self._limits.head_seconds, self.transport.abort)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()

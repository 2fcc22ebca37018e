"""A server on the loopback interface that delivers one file, as well or as badly as a test asks."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.help.limits import HANGS

OLD, NEW = (hashlib.sha256(bytes([n])).digest() * 12_500 for n in (1, 2))  # 400,000 bytes each


@dataclass
class Origin:
    """What the loopback server delivers, and what it was asked."""

    body: bytes = OLD
    etag: str | None = '"one"'
    last_modified: str | None = None
    honours: tuple[str, ...] = ("Range", "If-Range")
    content_type: str = "application/octet-stream"
    cuts: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    held_from: int | None = None
    """Byte from which on nothing is sent until `go_on` is set."""
    go_on: threading.Event = field(default_factory=threading.Event)
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0

    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for headers in self.asked]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        origin = self.server.origin
        origin.asked.append(dict(self.headers.items()))
        status = origin.statuses.pop(0) if origin.statuses else 200
        if status != 200:
            self.send_error(status)
            return
        start, total = self._start(origin), len(origin.body)
        if start and start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        for name, value in (("ETag", origin.etag), ("Last-Modified", origin.last_modified)):
            if value:
                self.send_header(name, value)
        self.send_header("Content-Type", origin.content_type)
        self.send_header("Content-Length", str(total - start))
        self.end_headers()
        end = origin.cuts.pop(0) if origin.cuts else total
        for offset in range(start, end, 40_000):
            if origin.held_from is not None and offset >= origin.held_from:
                origin.go_on.wait(HANGS)
            chunk = origin.body[offset : min(offset + 40_000, end)]
            origin.sent += len(chunk)  # before the client can have it, and look
            self.wfile.write(chunk)
        self.close_connection = True

    def _start(self, origin: Origin) -> int:
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if match is None or "Range" not in origin.honours:
            return 0
        validator = self.headers.get("If-Range")
        if "If-Range" in origin.honours and validator not in (None, origin.etag, origin.last_modified):
            return 0
        return int(match[1])

    def log_message(self, *args: Any) -> None:
        """Keep the test output quiet."""


class Server(ThreadingHTTPServer):
    def __init__(self, origin: Origin) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.origin = origin

    def handle_error(self, *args: Any) -> None:
        """A client that was killed is not an error of the server."""


@contextmanager
def serving() -> Iterator[Origin]:
    """A running server, and what it is told to deliver."""
    origin = Origin()
    server = Server(origin)
    origin.url = f"http://127.0.0.1:{server.server_address[1]}/net.pth"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield origin
    finally:
        origin.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()

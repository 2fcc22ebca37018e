"""A server on the loopback interface that answers as Google Drive does: a folder's page, files, and pages in their
place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

FOLDER_ID = "13bE4LP303XA_IzL1YOgG5eN0c8efHU9h"
FOLDER = f"https://drive.google.com/drive/folders/{FOLDER_ID}"
QUOTA = (
    "<html><head><title>Google Drive - Quota exceeded</title></head><body>Too many users have viewed it</body></html>"
)
OTHER = "<html><body>Sign in</body></html>"
FORM = """<html><body>Google Drive can't scan this file for viruses.
<form id="download-form" action="/download" method="get"><input type="hidden" name="id" value="{id}">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="a&amp;b"></form></body></html>"""


@dataclass
class Drive:
    """What lies in the folders, and how files are delivered."""

    folders: dict[str, dict[str, str]] = field(default_factory=dict)
    """By folder: identity of each file, or of a folder in it, by name."""
    files: dict[str, bytes] = field(default_factory=dict)
    page: str | None = None
    """Delivered in place of every file."""
    asks: bool = False
    """Whether files come only after the form about large files."""
    status: int = 200
    cut: int | None = None
    """Bytes after which the next delivery is cut."""
    url: str = ""
    ranges: list[str | None] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        drive, address = self.server.drive, urlparse(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        identity = query.get("id", "")
        if address.path.endswith("embeddedfolderview"):
            self._folder(drive, identity)
        elif drive.page is not None:
            self._say(drive.page.encode(), "text/html; charset=utf-8", drive.status)
        elif drive.asks and "uuid" not in query:
            self._say(FORM.format(id=identity).encode(), "text/html; charset=utf-8")
        else:
            self._file(drive, drive.files[identity])

    def _folder(self, drive: Drive, identity: str) -> None:
        if identity not in drive.folders:
            self._say(b"<html>no</html>", "text/html", 404)
            return
        links = "".join(
            f'<a href="https://drive.google.com/drive/folders/{child}">{name}</a>'
            if child in drive.folders
            else f'<a href="https://drive.google.com/file/d/{child}/view?usp=drive_web">{name}</a>'
            for name, child in drive.folders[identity].items()
        )
        names = {child: name for folder in drive.folders.values() for name, child in folder.items()}
        title = names.get(identity, "weights")
        self._say(f"<html><head><title>{title}</title></head><body>{links}</body></html>".encode(), "text/html")

    def _file(self, drive: Drive, body: bytes) -> None:
        asked = self.headers.get("Range")
        drive.ranges.append(asked)
        start = int(asked[6:-1]) if asked else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("Last-Modified", "Tue, 01 Dec 2026 00:00:00 GMT")
        self.end_headers()
        end = len(body) if drive.cut is None else drive.cut
        self.wfile.write(body[start:end])
        self.close_connection = True

    def _say(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Keep the test output quiet."""


class Server(ThreadingHTTPServer):
    def __init__(self, drive: Drive) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.drive = drive

    def handle_error(self, *args: Any) -> None:
        """A client that went away is not an error of the server."""


@contextmanager
def serving_drive(patch: pytest.MonkeyPatch) -> Iterator[Drive]:
    """A running server that this process takes for Google Drive."""
    import requests

    drive = Drive()
    server = Server(drive)
    drive.url = f"http://127.0.0.1:{server.server_address[1]}"
    real = requests.Session.get

    def get(self: Any, url: str, **options: Any) -> Any:
        return real(self, url.replace("https://drive.google.com", drive.url), **options)

    patch.setattr(requests.Session, "get", get)
    patch.setattr("fiqa_runtime.system.drive.BYTES", f"{drive.url}/download")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield drive
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""Download one file over HTTP: it arrives whole or not at all, and a cut download goes on where it was.

During the download the file is called ``<file>.part``. ``<file>.part.json`` says which remote file these bytes belong
to, and serves as a lock, so that one process downloads at a time. Both survive a kill, and the next run continues.
"""

from __future__ import annotations

import errno
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from fiqa_runtime.system.documents import parse_json
from fiqa_runtime.system.schema import from_plain

Progress = Callable[[int, int | None], None]
"""Called with the bytes at hand and the size of the whole file (None where the server does not say)."""

LARGEST = 8 << 30
"""Bytes; no published checkpoint has a quarter of it, and a server may not fill the disk."""
_CHUNK = 1 << 18
_ATTEMPTS = 5
_FIRST_PAUSE = 0.5
_TIMEOUT = 30.0
_TRY_AGAIN = (408, 416, 429, 500, 502, 503, 504)
_HTML = (b"<!doctype html", b"<html")


class TransferError(Exception):
    """The file did not arrive whole; `again` where another connection may do better."""

    def __init__(self, reason: str, again: bool = False) -> None:
        super().__init__(reason)
        self.again = again


def download_file(url: str, target: Path, accept: Callable[[Path], None], progress: Progress | None = None) -> None:
    """Bring `url` to `target`, or wait for the process that is already doing so.

    `accept` gets the path of the complete file before it is renamed to `target` and may raise. Raises
    TransferError for whatever the network or the server does wrong, OSError where the disk does.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    journal_path = target.with_name(f"{target.name}.part.json")
    with journal_path.open("a+b") as journal:
        _lock(journal)
        if not target.is_file():
            _transfer_all(url, part, journal, progress or (lambda done, total: None))
            accept(part)
            part.replace(target)
        journal.truncate(0)
    if sys.platform != "win32":  # there a file that others have open cannot be deleted
        journal_path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _Remote:
    """What tells whether the rest of a remote file still belongs to the bytes at hand."""

    url: str
    validator: str | None
    total: int | None

    def agrees(self, answer: _Remote) -> bool:
        """Whether a partial answer from the same address (it need not repeat everything) is of this file."""
        pairs = ((self.validator, answer.validator), (self.total, answer.total))
        return all(new in (None, old) for old, new in pairs)


def _transfer_all(url: str, part: Path, journal: BinaryIO, progress: Progress) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            _transfer(url, part, journal, progress)
            return
        except TransferError as error:
            if not error.again or attempt == _ATTEMPTS - 1:
                raise
        time.sleep(_FIRST_PAUSE * 2**attempt)


def _transfer(url: str, part: Path, journal: BinaryIO, progress: Progress) -> None:
    """One connection: append to `part` what it lacks, or begin again where it cannot be continued."""
    before = _read_journal(journal)
    done = part.stat().st_size if part.is_file() and before and before.url == url else 0
    if before and done and done == before.total:
        return
    headers = {"User-Agent": "fiqa-edge"}
    if before and done:
        headers["Range"] = f"bytes={done}-"
        if before.validator:
            headers["If-Range"] = before.validator
    with _open(Request(url, headers=headers), part) as response:
        start, remote = _describe(url, response)
        if start and not (before and start == done and before.agrees(remote)):
            part.unlink()
            raise TransferError("the file at the server has changed", again=True)
        _check_size(remote.total or 0)
        with part.open("ab" if start else "wb") as file:
            if not start:  # only now that the old bytes are gone may the journal name the new file
                _write_journal(journal, remote)
            _copy(response, file, start, remote.total, progress)


def _copy(response: HTTPResponse, file: BinaryIO, done: int, total: int | None, progress: Progress) -> None:
    progress(done, total)
    while chunk := _read(response):
        if not done and chunk.lstrip()[:14].lower().startswith(_HTML):
            raise TransferError("a web page was delivered instead of the file")
        done += len(chunk)
        _check_size(done)
        file.write(chunk)
        progress(done, total)
    if not done:
        raise TransferError("the server delivered an empty file")
    if total is not None and done != total:
        raise TransferError(f"the connection was cut after {done:,} of {total:,} bytes", again=True)


def _check_size(size: int) -> None:
    if size > LARGEST:
        raise TransferError(f"the server delivers more than {LARGEST:,} bytes, which is no checkpoint")


def _open(request: Request, part: Path) -> HTTPResponse:
    try:
        response: HTTPResponse = urlopen(request, timeout=_TIMEOUT)
    except HTTPError as error:
        if error.code == 416:  # the bytes at hand are not the beginning of the server's file
            part.unlink(missing_ok=True)
        raise TransferError(
            f"the server answered {error.code} {error.reason}", again=error.code in _TRY_AGAIN
        ) from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise TransferError(f"no connection ({reason})", again=part.is_file()) from error
    if request.full_url.startswith("https:") and not response.geturl().startswith("https:"):
        response.close()
        raise TransferError("the server redirects to an address without encryption")
    if response.headers.get_content_type() == "text/html":
        response.close()
        raise TransferError("a web page was delivered instead of the file")
    return response


def _describe(url: str, response: HTTPResponse) -> tuple[int, _Remote]:
    """Offset of the first byte that `response` brings, and what it says about the whole file."""
    tag = response.headers.get("ETag", "")
    validator = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if not match:
            raise TransferError("the server answered with a range that cannot be understood")
        return int(match[1]), _Remote(url, validator, None if match[2] == "*" else int(match[2]))
    return 0, _Remote(url, validator, response.length)


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read(_CHUNK)
    except (OSError, HTTPException) as error:
        raise TransferError(f"the connection was cut ({error})", again=True) from error


def _read_journal(journal: BinaryIO) -> _Remote | None:
    journal.seek(0)
    try:
        return from_plain(_Remote, parse_json(journal.read()))
    except ValueError:  # empty, or cut short by a kill: begin again
        return None


def _write_journal(journal: BinaryIO, remote: _Remote) -> None:
    journal.truncate(0)
    journal.write(json.dumps(asdict(remote)).encode())
    journal.flush()


def _lock(file: BinaryIO) -> None:
    """Wait until no other process holds `file`; the lock ends with the process, however that ends."""
    if sys.platform == "win32":
        import msvcrt

        while True:
            file.seek(0)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
                return
            except OSError as error:
                if error.errno != errno.EDEADLOCK:  # LK_LOCK gives up after ten seconds
                    raise
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)

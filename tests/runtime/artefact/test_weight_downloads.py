"""Weights are downloaded whole or not at all, continued where they were cut, and never glued from two files."""

from __future__ import annotations

import errno
import io
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from fiqa_runtime.artefact.weight_files import locate, recorded_sha256
from fiqa_runtime.errors import FetchError

from tests.help.limits import HANGS
from tests.help.samples.weight_file import FILE, assert_says_the_fix, checkpoint, leftovers, put, sha256
from tests.help.servers.file_server import NEW, OLD, Origin

pytestmark = pytest.mark.usefixtures("empty_machine")


@contextmanager
def fetching(origin: Origin) -> Iterator[subprocess.Popen[str]]:
    """A process that fetches the file and prints "begins", the bytes at hand as they arrive, and the SHA-256."""
    command = [sys.executable, "-c", SCRIPT, origin.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_redirect_to_an_address_without_encryption_is_refused(monkeypatch: pytest.MonkeyPatch, cached: Path) -> None:
    answer = Mock(**{"geturl.return_value": "http://example.org/net.pth"})
    monkeypatch.setattr("fiqa_runtime.system.download.urlopen", lambda request, timeout: answer)
    with pytest.raises(FetchError, match="the server redirects to an address without encryption"):
        locate(checkpoint("https://example.org/net.pth"))
    assert not cached.exists()
    answer.read.assert_not_called()


def test_whole_file_arrives_and_unknown_hash_is_recorded(origin: Origin, cached: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    path = locate(checkpoint(origin.url), progress=lambda done, total: steps.append((done, total)))
    assert path == cached
    assert path.read_bytes() == OLD
    assert leftovers(path) == {"net.pth.sha256"}
    assert recorded_sha256(path) == sha256(OLD)
    assert (cached.parent / "net.pth.sha256").read_text(encoding="utf-8") == f"{sha256(OLD)}  net.pth\n"
    assert steps == sorted(steps)
    assert (steps[0], steps[-1]) == ((0, len(OLD)), (len(OLD), len(OLD)))
    locate(checkpoint(origin.url))
    assert len(origin.asked) == 1, "the second call found the file"


def test_known_hash_is_verified_and_not_recorded(origin: Origin, cached: Path) -> None:
    assert locate(checkpoint(origin.url, sha256(OLD))).read_bytes() == OLD
    assert leftovers(cached) == set()


def test_wrong_hash_deletes_what_arrived(origin: Origin, cached: Path) -> None:
    with pytest.raises(FetchError, match=f"SHA-256 {sha256(OLD)} instead of {sha256(NEW)} and was deleted"):
        locate(checkpoint(origin.url, sha256(NEW)))
    assert not cached.exists()
    assert "net.pth.part" not in leftovers(cached)
    origin.body, origin.etag = NEW, '"two"'
    assert locate(checkpoint(origin.url, sha256(NEW))).read_bytes() == NEW


def test_cut_connection_is_resumed_without_sending_bytes_twice(origin: Origin) -> None:
    origin.cuts = [150_000, 310_000]
    starts: list[int] = []
    path = locate(checkpoint(origin.url), progress=lambda done, total: starts.append(done))
    assert path.read_bytes() == OLD
    assert origin.ranges() == [None, "bytes=150000-", "bytes=310000-"]
    assert [headers.get("If-Range") for headers in origin.asked] == [None, '"one"', '"one"']
    assert origin.sent == len(OLD)
    assert starts == sorted(starts), "the bar never runs backwards"


def test_cut_download_is_resumed_by_a_later_run(origin: Origin, cached: Path) -> None:
    origin.cuts = [50_000] * 5
    with pytest.raises(FetchError, match="cut after 50,000 of 400,000 bytes"):
        locate(checkpoint(origin.url))
    assert not cached.exists()
    assert len(origin.asked) == 5
    sent = origin.sent
    assert locate(checkpoint(origin.url)).read_bytes() == OLD
    assert origin.ranges()[-1] == "bytes=50000-"
    assert sent + 350_000 == origin.sent


def test_killed_process_leaves_a_part_that_is_continued(origin: Origin, cached: Path) -> None:
    origin.held_from = 280_000
    with fetching(origin) as process:
        assert process.stdout is not None
        while process.stdout.readline() not in ("", "262144\n"):
            pass
        process.kill()
    size = cached.with_name("net.pth.part").stat().st_size
    assert not cached.exists()
    assert 0 < size < len(OLD)
    origin.go_on.set()
    assert locate(checkpoint(origin.url)).read_bytes() == OLD
    assert origin.ranges() == [None, f"bytes={size}-"]


def test_part_that_was_complete_when_killed_is_only_renamed(origin: Origin, cached: Path) -> None:
    put(cached.with_name("net.pth.part"), OLD)
    remote = f'{{"url": "{origin.url}", "validator": null, "total": {len(OLD)}}}'
    cached.with_name("net.pth.part.json").write_text(remote)
    assert locate(checkpoint(origin.url, sha256(OLD))).read_bytes() == OLD
    assert origin.asked == []


@pytest.mark.parametrize(
    "journal", ["[]", "[" * 100_000, '{"url": "URL", "validator": 7, "total": null}', '{"url": "URL", "total": 350000}']
)
def test_damaged_journal_begins_again(origin: Origin, cached: Path, journal: str) -> None:
    put(cached.with_name("net.pth.part"), OLD[:1000])
    cached.with_name("net.pth.part.json").write_text(journal.replace("URL", str(origin.url)))
    assert locate(checkpoint(origin.url)).read_bytes() == OLD
    assert origin.ranges() == [None]


def test_server_without_ranges_starts_again(origin: Origin) -> None:
    origin.honours = ()
    origin.cuts = [150_000]
    assert locate(checkpoint(origin.url)).read_bytes() == OLD
    assert origin.sent == len(OLD) + 150_000


@pytest.mark.parametrize(
    ("honours", "etag", "last_modified", "body"),
    [
        (("Range", "If-Range"), '"two"', None, NEW),
        (("Range",), '"two"', None, NEW),
        (("Range", "If-Range"), None, "Sat, 21 Nov 2026 00:00:00 GMT", NEW),
        (("Range",), None, None, NEW + b"longer"),
        (("Range",), None, None, NEW[:90_000]),
    ],
    ids=[
        "etag",
        "etag, server ignores If-Range",
        "last-modified",
        "only size: longer",
        "only size: shorter (416)",
    ],
)
def test_changed_file_is_not_glued(
    origin: Origin, honours: tuple[str, ...], etag: str | None, last_modified: str | None, body: bytes
) -> None:
    origin.etag, origin.last_modified = etag and '"one"', last_modified and "Fri, 20 Nov 2026 00:00:00 GMT"
    origin.honours = honours
    origin.cuts = [150_000] * 5
    with pytest.raises(FetchError):
        locate(checkpoint(origin.url))
    origin.body, origin.etag, origin.last_modified = body, etag, last_modified
    assert locate(checkpoint(origin.url)).read_bytes() == body


def test_part_of_another_address_is_not_continued(origin: Origin, cached: Path) -> None:
    origin.cuts = [150_000] * 5
    with pytest.raises(FetchError):
        locate(checkpoint(origin.url))
    origin.body = NEW
    assert locate(checkpoint(origin.url + "?mirror")).read_bytes() == NEW
    assert origin.ranges()[5:] == [None]


def test_part_without_journal_is_not_continued(origin: Origin, cached: Path) -> None:
    put(cached.with_name("net.pth.part"), NEW[:1000])
    assert locate(checkpoint(origin.url)).read_bytes() == OLD


@pytest.mark.parametrize(("status", "requests"), [(404, 1), (403, 1), (503, 5)])
def test_server_that_refuses(origin: Origin, cached: Path, status: int, requests: int) -> None:
    origin.statuses = [status] * 5
    with pytest.raises(FetchError, match=f"the server answered {status}") as caught:
        locate(checkpoint(origin.url))
    assert_says_the_fix(caught.value)
    assert len(origin.asked) == requests
    assert not cached.exists()


def test_busy_server_is_asked_again(origin: Origin) -> None:
    origin.statuses = [503, 429]
    assert locate(checkpoint(origin.url)).read_bytes() == OLD


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html; charset=utf-8", b"<!-- log in --><html></html>"),
        ("application/octet-stream", b"\n<!DOCTYPE html><html><body>Confirm the download</body></html>"),
        ("application/octet-stream", b"<HTML><body>Quota exceeded</body></HTML>"),
    ],
)
def test_web_page_is_refused(origin: Origin, cached: Path, content_type: str, body: bytes) -> None:
    origin.content_type, origin.body = content_type, body
    with pytest.raises(FetchError, match="a web page was delivered") as caught:
        locate(checkpoint(origin.url))
    assert_says_the_fix(caught.value)
    assert len(origin.asked) == 1
    assert not cached.exists()


def test_empty_answer_is_refused(origin: Origin, cached: Path) -> None:
    origin.body = b""
    with pytest.raises(FetchError, match="the server delivered an empty file"):
        locate(checkpoint(origin.url))
    assert not cached.exists()


def test_full_disk(origin: Origin, cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class FullDisk(io.BufferedWriter):
        def write(self, data: Any) -> int:
            if self.tell() >= 100_000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(data)

    opened = Path.open

    def limited(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if path.suffix == ".part" and mode in ("wb", "ab"):
            return FullDisk(io.FileIO(path, mode))
        return opened(path, mode, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", limited)
        with pytest.raises(FetchError, match="the disk is full; make room and run again") as caught:
            locate(checkpoint(origin.url))
    assert_says_the_fix(caught.value)
    assert not cached.exists()
    assert locate(checkpoint(origin.url)).read_bytes() == OLD
    assert origin.ranges() == [None, "bytes=100000-"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_as_the_kernel_reports_it(origin: Origin, cached: Path) -> None:
    cached.parent.mkdir(parents=True)
    cached.with_name("net.pth.part").symlink_to("/dev/full")
    with pytest.raises(FetchError, match="the disk is full"):
        locate(checkpoint(origin.url))
    assert not cached.exists()


def test_cache_that_cannot_be_made(origin: Origin, tmp_path: Path) -> None:
    put(tmp_path / "cache", b"a file where the cache should be")
    with pytest.raises(FetchError, match="cannot be saved in") as caught:
        locate(checkpoint(origin.url))
    assert_says_the_fix(caught.value)


def test_no_network(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", Mock(side_effect=AssertionError("there is nothing to wait for")))
    with socket.socket() as closed:  # bound, so that nobody else gets the port, and not listening
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(FetchError, match="no connection") as caught:
            locate(checkpoint(f"http://127.0.0.1:{closed.getsockname()[1]}/net.pth"))
    assert_says_the_fix(caught.value)
    assert not cached.exists()


def test_processes_that_fetch_at_once_share_one_download(origin: Origin, cached: Path) -> None:
    origin.held_from = 0
    with fetching(origin) as first, fetching(origin) as second, fetching(origin) as third:
        processes = (first, second, third)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "begins\n"
        origin.go_on.set()
        outputs = [process.communicate(timeout=HANGS)[0].split()[-1] for process in processes]
    assert outputs == [sha256(OLD)] * 3
    assert origin.sent == len(OLD)
    assert len(origin.asked) == 1
    assert leftovers(cached) == {"net.pth.sha256"}


SCRIPT = f"""
import sys
from functools import partial
from fiqa_runtime.artefact.weight_files import locate
from fiqa_runtime.system.files import sha256_of
from fiqa_runtime.artefact.spec import Checkpoint
say = partial(print, flush=True)
say("begins")
checkpoint = Checkpoint({FILE!r}, page="https://example.org/weights", url=sys.argv[1])
say(sha256_of(locate(checkpoint, progress=lambda done, total: say(done))))
"""

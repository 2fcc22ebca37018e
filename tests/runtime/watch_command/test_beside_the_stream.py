"""Webhook, metrics, signals and raw frames: what works beside the stream, and how it ends."""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import cv2
import numpy as np
import pytest
from fiqa_runtime.errors import InputError
from fiqa_runtime.live import Counts, Frames, Speed, Tally
from fiqa_runtime.system.stopping import stopping
from fiqa_runtime.watch_command.losses import Losses
from fiqa_runtime.watch_command.metrics import Metrics, metrics_text
from fiqa_runtime.watch_command.report import Report
from fiqa_runtime.watch_command.webhook import WAITING, Webhook

from tests.help.commands import Invoke
from tests.help.limits import HANGS
from tests.help.live.video_server import camera

REPORT = Report(
    Counts(read=7, dropped=2), Tally(tracks=3, shown=2, scored=5), Speed(7, 30.0, 10, 20, 30), 1, {"line": 4}
)


class Receiver:
    """What an address was sent, and the codes that it answers with in turn."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)
        self.calls: list[dict[str, Any]] = []
        self.held: threading.Event | None = None
        self.url = ""


@contextmanager
def receiving(*codes: int) -> Iterator[Receiver]:
    receiver = Receiver(*codes)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if receiver.held:
                receiver.held.wait(HANGS)
            receiver.calls.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(receiver.codes.pop(0) if receiver.codes else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Keep the test output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/best"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        if receiver.held:
            receiver.held.set()
        server.shutdown()
        server.server_close()
        thread.join()


def test_each_best_picture_is_sent(watch: Invoke, clip: Path) -> None:
    with receiving() as receiver:
        result = watch(clip, "--webhook", receiver.url)
    assert result.code == 0 and "sent 2 calls to the webhook" in result.err
    assert [call["event"] for call in receiver.calls] == ["best", "best"]
    data = np.frombuffer(base64.b64decode(receiver.calls[0]["picture"]), np.uint8)
    assert cv2.imdecode(data, cv2.IMREAD_COLOR) is not None


def test_a_call_is_tried_again_and_in_the_end_lost() -> None:
    with receiving(503, 429, 200, 500, 500, 500) as receiver:
        losses = Losses()
        hook = Webhook(receiver.url, losses, waits=(0.01, 0.01))
        hook.send({"track": 1}, None)
        hook.send({"track": 2}, None)
        hook.close(HANGS)
    assert [call["track"] for call in receiver.calls] == [1, 1, 1, 2, 2, 2]
    assert hook.sent == 1 and losses.counts == {"call": 1}


def test_a_call_that_is_refused_is_not_tried_again() -> None:
    with receiving(404) as receiver:
        losses = Losses()
        hook = Webhook(receiver.url, losses, waits=(0.01,))
        hook.send({}, None)
        hook.close(HANGS)
    assert len(receiver.calls) == 1 and losses.counts == {"call": 1}


def test_a_webhook_that_does_not_answer_holds_nothing_up() -> None:
    with receiving() as receiver:
        receiver.held = threading.Event()
        losses = Losses()
        hook = Webhook(receiver.url, losses, waits=())
        for track in range(WAITING + 5):
            hook.send({"track": track}, None)
        assert losses.counts["call"] >= 4
        hook.close(0.05)
        assert losses.counts["call"] >= WAITING + 3
        receiver.held.set()


def test_an_address_where_nobody_listens_is_a_loss() -> None:
    losses = Losses()
    hook = Webhook("http://127.0.0.1:9/", losses, waits=())
    hook.send({}, None)
    hook.close(HANGS)
    assert losses.counts == {"call": 1}


def test_metrics_are_prometheus_text() -> None:
    lines = metrics_text(REPORT).splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    assert values["fiqa_watch_frames_total"] == "7" and values["fiqa_watch_frames_dropped_total"] == "2"
    assert values["fiqa_watch_best_shots_total"] == "2" and values["fiqa_watch_lines_lost_total"] == "4"
    assert values['fiqa_watch_latency_seconds{quantile="0.99"}'] == "0.030000"
    typed = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    described = {line.split()[2] for line in lines if line.startswith("# HELP")}
    assert typed == described and {name.split("{")[0].removesuffix("_count") for name in values} == typed


def test_metrics_are_served_and_only_there() -> None:
    server = Metrics("0", lambda: REPORT)
    try:
        with urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=HANGS) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert answer.read().decode() == metrics_text(REPORT)
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"http://127.0.0.1:{server.port}/", timeout=HANGS)
        with pytest.raises(InputError, match="choose another port"):
            Metrics(f"{server.port}", lambda: REPORT)
    finally:
        server.close()


def call_handler(number: signal.Signals) -> None:
    """What Python does when the signal comes. A real one may come late, after the test, and end the test process."""
    handler = signal.getsignal(number)
    assert callable(handler)
    handler(number, None)


def test_the_first_signal_stops_and_the_handlers_come_back() -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    asked: list[bool] = []
    with stopping(lambda: asked.append(True)):
        call_handler(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            call_handler(signal.SIGINT)
    assert asked == [True] and before == {each: signal.getsignal(each) for each in before}


CODE = """
import numpy as np, sys
from fiqa_runtime.command.settings import FaceSettings
from fiqa_runtime.watch_cli import main
from tests.help.live.moving_faces import face_at
class One:
    name = "one"
    def detect(self, image):
        return [face_at(60, 60)]
FaceSettings.open_detector = lambda *_: One()
main()
"""


def command(*arguments: object, **settings: Any) -> subprocess.Popen[bytes]:
    line = [sys.executable, "-c", CODE, *map(str, arguments), "--backend", "onnxruntime", "--threads", "1"]
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_finishes_open_tracks(seeded_engine: Path, clip: Path, number: signal.Signals) -> None:
    images = [frame.image for frame in Frames(clip)]
    with camera(images * 200, rate=30) as one:
        process = command(one.url, "--engine", seeded_engine, "--jsonl", "-")
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(number)
        out, err = process.communicate(timeout=HANGS)
    told = [json.loads(line)["event"] for line in out.splitlines()]
    assert first["event"] == "started" and told[-2:] == ["best", "ended"], err
    assert process.returncode == 0


def test_raw_frames_on_stdin(seeded_engine: Path, clip: Path) -> None:
    data = b"".join(frame.image.tobytes() for frame in Frames(clip))
    process = command("-", "--raw", "320x240@15", "--engine", seeded_engine, "--jsonl", "-", stdin=subprocess.PIPE)
    out, err = process.communicate(data + b"cut short", timeout=HANGS)
    told = [json.loads(line) for line in out.splitlines()]
    assert process.returncode == 0 and [told[-2]["event"], told[-1]["event"]] == ["best", "ended"]
    assert told[-1]["time"] == pytest.approx(29 / 15, abs=1e-3) and b"1 could not be read" in err


def test_whoever_reads_stdout_may_leave(seeded_engine: Path, clip: Path) -> None:
    process = command(clip, "--engine", seeded_engine, "--jsonl", "-")
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.wait(HANGS) in (0, 1) and b"Traceback" not in process.stderr.read()
    process.stderr.close()

"""Counters as Prometheus reads them, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from fiqa_runtime.errors import InputError
from fiqa_runtime.watch_command.report import Report

HERE = "127.0.0.1"
"""Where the server listens if only a port is given."""


def metrics_text(report: Report) -> str:
    """`report` in Prometheus' text format."""
    tally, counts, speed = report.tally, report.counts, report.speed
    lines = []
    for name, value, words in (
        ("frames", counts.read, "Frames that were worked on."),
        ("frames_dropped", counts.dropped, "Frames that were replaced by newer ones."),
        ("frames_skipped", counts.skipped, "Frames above --max-fps."),
        ("frames_unreadable", counts.unreadable, "Frames that could not be decoded."),
        ("times_mended", counts.mended, "Time stamps that ran back."),
        ("reconnects", counts.reconnects, "Connections made anew."),
        ("stalls", counts.stalls, "Times when the source was silent."),
        ("frames_searched", tally.searched, "Frames in which faces were looked for."),
        ("faces", tally.faces, "Detections."),
        ("faces_scored", tally.scored, "Faces that were scored."),
        ("faces_spared", tally.spared, "Faces that could not be better and were not scored."),
        ("tracks", tally.tracks, "People who came."),
        ("best_shots", tally.shown, "People with a best picture."),
        *((f"{what}s_lost", report.lost.get(what, 0), f"Each {what} lost.") for what in ("picture", "line", "call")),
    ):
        lines += [f"# HELP fiqa_watch_{name}_total {words}", f"# TYPE fiqa_watch_{name}_total counter"]
        lines.append(f"fiqa_watch_{name}_total {value}")
    lines += ["# HELP fiqa_watch_people People who are there.", "# TYPE fiqa_watch_people gauge"]
    lines.append(f"fiqa_watch_people {report.people}")
    lines += [
        "# HELP fiqa_watch_fps Frames a second.",
        "# TYPE fiqa_watch_fps gauge",
        f"fiqa_watch_fps {speed.fps:.3f}",
    ]
    lines += ["# HELP fiqa_watch_latency_seconds From frame to event.", "# TYPE fiqa_watch_latency_seconds summary"]
    for quantile, wait in (("0.5", speed.p50), ("0.95", speed.p95), ("0.99", speed.p99)):
        text = "NaN" if wait is None else f"{wait / 1000:.6f}"
        lines.append(f'fiqa_watch_latency_seconds{{quantile="{quantile}"}} {text}')
    lines.append(f"fiqa_watch_latency_seconds_count {speed.frames}")
    return "\n".join(lines) + "\n"


class Metrics:
    """A server of one page, ``/metrics``."""

    def __init__(self, where: str, report: Callable[[], Report]) -> None:
        """`where` is a port, or ``host:port``. Raises InputError where it cannot listen there."""
        host, _, port = where.rpartition(":")
        if not port.isdecimal() or int(port) > 65535:
            raise InputError(f"--metrics {where} is not a port; write 9100, or 0.0.0.0:9100 for other machines too")

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = self.path.split("?")[0] == "/metrics"
                body = (metrics_text(report()) if found else "the page is /metrics\n").encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nobody reads who asked."""

        try:
            self._server = ThreadingHTTPServer((host or HERE, int(port)), Handler)
        except OSError as error:
            raise InputError(f"--metrics {where}: {error.strerror or error}; choose another port") from error
        self.port: int = self._server.server_address[1]
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

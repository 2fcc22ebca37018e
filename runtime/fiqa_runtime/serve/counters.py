"""What a server has done, as Prometheus reads it."""

from __future__ import annotations

from collections import Counter, defaultdict
from threading import Lock

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the histogram of times, in seconds."""


class Counters:
    """Counts for any number of threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._answers: Counter[tuple[str, int]] = Counter()
        self._times: dict[str, list[int]] = {}
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._batches = self._crops = self._photos = self._faces = 0

    def count_answer(self, route: str, status: int, seconds: float) -> None:
        """One request to `route` was answered with `status`, `seconds` after it came."""
        with self._lock:
            self._answers[route, status] += 1
            times = self._times.setdefault(route, [0] * (len(BOUNDS) + 1))
            times[sum(seconds > bound for bound in BOUNDS)] += 1
            self._seconds[route] += seconds

    def count_batch(self, crops: int) -> None:
        """One batch was scored."""
        with self._lock:
            self._batches += 1
            self._crops += crops

    def count_photo(self, faces: int) -> None:
        """One photo was searched."""
        with self._lock:
            self._photos += 1
            self._faces += faces

    def text(self, ready: bool, under_way: int) -> str:
        """All of it in Prometheus' text format, with what is the case now."""
        with self._lock:
            lines = []
            for name, value, words in (
                ("batches", self._batches, "Batches that the network scored."),
                ("crops", self._crops, "Crops in them."),
                ("photos", self._photos, "Photos in which faces were looked for."),
                ("faces", self._faces, "Faces found and scored in them."),
            ):
                lines += _head(f"{name}_total", "counter", words)
                lines.append(f"fiqa_serve_{name}_total {value}")
            for name, value, words in (
                ("ready", int(ready), "1 once the self-test has passed."),
                ("under_way", under_way, "Requests that are worked on or wait for it."),
            ):
                lines += _head(name, "gauge", words)
                lines.append(f"fiqa_serve_{name} {value}")
            lines += _head("requests_total", "counter", "Answers by route and status.")
            for (route, status), count in sorted(self._answers.items()):
                lines.append(f'fiqa_serve_requests_total{{route="{route}",status="{status}"}} {count}')
            lines += _head("request_seconds", "histogram", "From the headers of a request to the end of its answer.")
            for route in sorted(self._times):
                lines += self._histogram(route)
        return "\n".join(lines) + "\n"

    def _histogram(self, route: str) -> list[str]:
        lines, below = [], 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self._times[route], strict=True):
            below += count
            lines.append(f'fiqa_serve_request_seconds_bucket{{route="{route}",le="{bound}"}} {below}')
        lines.append(f'fiqa_serve_request_seconds_sum{{route="{route}"}} {self._seconds[route]:.6f}')
        lines.append(f'fiqa_serve_request_seconds_count{{route="{route}"}} {below}')
        return lines


def _head(name: str, kind: str, words: str) -> list[str]:
    return [f"# HELP fiqa_serve_{name} {words}", f"# TYPE fiqa_serve_{name} {kind}"]

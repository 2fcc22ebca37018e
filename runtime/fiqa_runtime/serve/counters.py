"""What a server has done, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Counters:
    """Counts for any number of threads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._batches = self._counter("batches", "Batches that the network scored.")
        self._crops = self._counter("crops", "Crops in them.")
        self._photos = self._counter("photos", "Photos in which faces were looked for.")
        self._faces = self._counter("faces", "Faces found and scored in them.")
        self._answers = self._counter("requests", "Answers by route and status.", "route", "status")
        self._seconds = Histogram(
            "fiqa_serve_request_seconds",
            "From the headers of a request to the end of its answer.",
            ("route",),
            registry=self._registry,
        )

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"fiqa_serve_{name}", words, labels, registry=self._registry)

    def watch(self, name: str, words: str, now: Callable[[], float]) -> None:
        """Also tell what `now` gives whenever Prometheus asks."""
        Gauge(f"fiqa_serve_{name}", words, registry=self._registry).set_function(now)

    def count_answer(self, route: str, status: int, seconds: float) -> None:
        """One request to `route` was answered with `status`, `seconds` after it came."""
        self._answers.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_batch(self, crops: int) -> None:
        """One batch was scored."""
        self._batches.inc()
        self._crops.inc(crops)

    def count_photo(self, faces: int) -> None:
        """One photo was searched."""
        self._photos.inc()
        self._faces.inc(faces)

    def text(self) -> str:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry).decode()

"""How a stream is doing: one record for the health line, the metrics, the last lines and the document."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fiqa_runtime.live import Counts, Speed, Tally


@dataclass(frozen=True)
class Report:
    """A moment of a stream."""

    counts: Counts
    tally: Tally
    speed: Speed
    people: int
    """Who are there now."""
    lost: Mapping[str, int]
    """What could not be written, by kind."""

    def health(self) -> str:
        """One line for people."""
        waits = ""
        if self.speed.p50 is not None:
            waits = (
                f", from frame to event p50 {self.speed.p50:.0f} p95 {self.speed.p95:.0f} p99 {self.speed.p99:.0f} ms"
            )
        return (
            f"{self.counts.read} frames at {self.speed.fps:.1f} a second{waits}, {self.counts.dropped} dropped, "
            f"{self.people} people here, {self.tally.tracks} came, {self.tally.shown} best pictures"
        )

    def lines(self) -> Iterator[str]:
        """For people, at the end."""
        yield self.health()
        faces = self.tally.scored + self.tally.spared
        if faces:
            yield f"{self.tally.scored} of {faces} faces were scored; the others could not be better"
        told = {
            "could not be read": self.counts.unreadable,
            "had a time that ran back": self.counts.mended,
            "came after a change of the resolution": self.counts.resized,
        }
        if bad := [f"{count} {what}" for what, count in told.items() if count]:
            yield f"frames: {', '.join(bad)}"
        if self.counts.reconnects or self.counts.stalls:
            silent, anew = self.counts.stalls, self.counts.reconnects
            yield f"the source was silent {silent} times, and connected to anew {anew} times"

    def as_json(self) -> dict[str, Any]:
        """Plain data for the document."""
        return {
            "frames": asdict(self.counts),
            "work": asdict(self.tally),
            "speed": asdict(self.speed),
            "lost": dict(self.lost),
        }

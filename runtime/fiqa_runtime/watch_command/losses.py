"""What could not be written: it is told, counted, and never stops the stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fiqa_runtime.terminal.console import tell


class Losses:
    """Counts what was lost, by kind (`picture`, `line`, `call`); the first loss of a row of losses is told at once."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._in_a_row: set[str] = set()

    def lost(self, what: str, why: object) -> None:
        """One more `what` is lost."""
        self.counts[what] += 1
        if what not in self._in_a_row:
            self._in_a_row.add(what)
            tell([f"lost a {what}: {why}; the stream goes on"])

    def kept(self, what: str) -> None:
        """A `what` was written: the next loss is news again."""
        self._in_a_row.discard(what)

    def lines(self) -> Iterator[str]:
        """For people, at the end."""
        for what, count in self.counts.items():
            yield f"lost: {count} {what}{'' if count == 1 else 's'}"

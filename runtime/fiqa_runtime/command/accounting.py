"""What became of every image of a run: given = scored + without a face + refused, and files that were passed over."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fiqa_runtime.command.results import NO_FACE, REFUSED, SCORED, ImageResult
from fiqa_runtime.images.reading import Found, listed


class Account:
    """Counts results as they come; `passed_over` are the files in folders that were not read, with the reason."""

    def __init__(self, given: int, passed_over: Mapping[Path, str]) -> None:
        self.given = given
        self.passed_over = passed_over
        self.outcomes: Counter[str] = Counter()
        """By outcome: how many images so far."""
        self._reasons: Counter[str] = Counter()
        self._warned = 0
        self._first_warned: ImageResult | None = None

    @property
    def refused(self) -> int:
        """How many images were refused so far."""
        return self.outcomes[REFUSED]

    @property
    def all_refused(self) -> bool:
        """Whether there were images, in this part of the run or an earlier one, and every one was refused."""
        return self.outcomes.total() == self.refused > 0

    def add(self, result: ImageResult) -> None:
        """Count one result."""
        self.outcomes[result.outcome] += 1
        if result.error:
            self._reasons[reason_of(str(result.error), result.path)] += 1
        if result.warning:
            self._warned += 1
            self._first_warned = self._first_warned or result

    def add_earlier(self, path: Path | str, outcome: str, error: str | None) -> None:
        """Count an image that an earlier part of the run has done."""
        self.outcomes[outcome] += 1
        if outcome == REFUSED:
            self._reasons[reason_of(error or "", path)] += 1

    def lines(self) -> Iterator[str]:
        """For people, one line each: what became of the images, what was passed over, and what is to be doubted."""
        counts = self.outcomes
        outcomes = f"{counts[SCORED]} scored, {counts[NO_FACE]} without a face, {counts[REFUSED]} refused"
        yield f"{counted(self.given, 'image')}: {outcomes}{listed(self._reasons)}"
        note = Found(passed_over=dict(self.passed_over)).note()
        if note:
            yield note
        if self._first_warned is not None:
            first = self._first_warned
            yield f"warning: {self._warned} of {self.given} are doubtful, as {first.path}: {first.warning}"

    def as_json(self) -> dict[str, Any]:
        """For the JSON document; the images themselves say which was refused and why."""
        return {
            "given": self.given,
            "scored": self.outcomes[SCORED],
            "without_face": self.outcomes[NO_FACE],
            "refused": self.outcomes[REFUSED],
            "passed_over": [{"path": str(path), "reason": reason} for path, reason in self.passed_over.items()],
        }


def counted(number: int, what: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def reason_of(message: str, path: Path | str) -> str:
    """What a message says of any file: without the path, without numbers of its own, and without the fix."""
    text = message.replace(f"{path}: ", "").replace(str(path), "")
    return re.sub(r"(?<![\w.])\d[\d,]*(?![\w.])", "N", re.split(r"[;:(]", text)[0]).strip() or "unknown"

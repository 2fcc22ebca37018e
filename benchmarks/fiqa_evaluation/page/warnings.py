"""What has to be known before a page is believed: each thing once, with where it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fiqa_evaluation.page.findings import MOST_NAMED, start_of

Document = Mapping[str, Any]
Places = dict[str, dict[str, None]]
"""Where a note holds, by note."""
NO_INTERVALS = "no intervals were computed (bootstrap 0), so nothing says how sure a difference is"


def warnings(document: Document) -> list[str]:
    """Those of the document, then the notes of its parts."""
    found: Places = {}
    for part in document.get("discard", ()):
        title = part.get("title", "")
        for row in part["edc"]:
            for note in row.get("notes", ()):
                _put(found, note, f"{title} at {start_of(row)}" if title else start_of(row))
        if part.get("persons") is None:
            _put(found, NO_INTERVALS, title)
        for note in part.get("notes", ()):
            _put(found, note, title)
    for part in document.get("opinions", ()):
        for note in part.get("notes", ()):
            _put(found, note, part.get("title", ""))
    for part in document.get("distributions", ()):
        for note in part.get("notes", ()):
            _put(found, note, part["method"])
    said = [_line(note, [place for place in places if place]) for note, places in found.items()]
    return list(dict.fromkeys([*document.get("warnings", ()), *said]))


def _put(found: Places, note: str, place: str) -> None:
    found.setdefault(note, {})[place] = None


def _line(note: str, places: list[str]) -> str:
    if not places:
        return note[:1].upper() + note[1:]
    rest = len(places) - MOST_NAMED
    named = "; ".join(places if rest <= 0 else places[:MOST_NAMED])
    return f"{named}{f' and {rest} more evaluations' if rest > 0 else ''}: {note}"

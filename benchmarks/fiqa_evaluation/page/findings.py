"""What the numbers say, in sentences, and how sure they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fiqa_evaluation.discard.curves import FRACTIONS

Document = Mapping[str, Any]
SHARE = 0.2
"""Discard fraction of the sentences about curves."""
MOST_FINDINGS = 12


def findings(document: Document) -> list[str]:
    """The sentences on top of the page, the most important first."""
    found = [*_of_discard(document), *_of_precision(document), *_of_opinions(document), *_of_distributions(document)]
    found += _of_detectors(document)
    rest = len(found) - MOST_FINDINGS
    return found if rest <= 0 else [*found[:MOST_FINDINGS], f"{rest} more findings of this kind stand in the tables."]


def warnings(document: Document) -> list[str]:
    """What has to be known before any of it is believed, each once."""
    found = list(document.get("warnings", ()))
    for part in document.get("discard", ()):
        notes: dict[str, None] = {}
        for row in part["edc"]:
            notes |= dict.fromkeys(f"{start_of(row)}: {note}" for note in row.get("notes", ()))
        if part.get("persons") is None:
            notes["no intervals were computed (bootstrap 0), so nothing says how sure a difference is"] = None
        for note in part.get("notes", ()):
            notes[note] = None
        found += [_titled(part, note) for note in notes]
    for part in document.get("opinions", ()):
        found += [_titled(part, note) for note in part.get("notes", ())]
    for part in document.get("distributions", ()):
        found += [f"{part['method']}: {note}" for note in part.get("notes", ())]
    return list(dict.fromkeys(found))


def start_of(row: Document) -> str:
    """The starting error of a curve, in words."""
    start = row.get("start")
    return f"FMR {row['fmr']:g}" if not start else f"{start['by'].upper()} {start['rate']:g}"


def judged(rows: Sequence[Document]) -> str:
    """The starting error that sentences speak of: the strictest whose rates are not uncertain, else the mildest."""
    starts = dict.fromkeys(map(start_of, rows))
    uncertain = {start_of(row) for row in rows if any("fewer than" in note for note in row["notes"])}
    sure = [start for start in starts if start not in uncertain]
    return (sure or list(starts)[:1])[-1]


def _of_discard(document: Document) -> Iterator[str]:
    for part in document.get("discard", ()):
        start = judged(part["edc"])
        rows = [row for row in part["edc"] if start_of(row) == start and row["auc"] is not None]
        if not rows:
            continue
        limit = list(rows[0]["pauc"])[-1]
        best = min(rows, key=lambda row: row["pauc"][limit])
        yield _titled(part, f"{_fall(best, start)}{_certainty(part, best, rows, start, limit)}.")


def _fall(row: Document, start: str) -> str:
    """How the error falls; the row's own fractions are the twenty."""
    place = round(SHARE / FRACTIONS[1])
    before, after = row["fnmr"][0], row["fnmr"][place]
    band = ""
    if "low" in row and row["low"][place] is not None:
        band = f" [{row['low'][place]:.4f}, {row['high'][place]:.4f}]"
    word = "falls" if after < before else "does not fall"
    return (
        f"by {row['name']}, discarding the worst {SHARE:.0%} of the genuine pairs, FNMR at {start} {word}: "
        f"{before:.4f} to {after:.4f}{band}"
    )


def _certainty(part: Document, best: Document, rows: Sequence[Document], start: str, limit: str) -> str:
    others = [row["name"] for row in rows if row is not best]
    if not others:
        return ""
    compared = {
        frozenset((d["first"], d["second"])): d
        for d in part.get("differences", ())
        if d["start"] == start and d["limit"] == float(limit)
    }
    beaten: list[str] = []
    open_: list[str] = []
    for name in others:
        difference = compared.get(frozenset((best["name"], name)))
        sure = difference is not None and difference["verdict"].startswith(f"{best['name']} is better")
        (beaten if sure else open_).append(name)
    if not compared:
        return f"; it has the smallest area to {limit}, how surely was not computed"
    parts = [f"surely better (95 %) than {_and(beaten)}"] if beaten else []
    parts += [f"not to be told apart from {_and(open_)} on these pairs"] if open_ else []
    return f"; it is {', and '.join(parts)}"


def _of_precision(document: Document) -> Iterator[str]:
    for row in document.get("precision", ()):
        moved = "the curve moves" if row["moved"] else "the curve does not move measurably"
        yield (
            f"{row['set']}, {row['recogniser']}: {row['low_precision']} in place of {row['reference']} costs "
            f"{row['difference']:+.5f} [{row['low']:+.5f}, {row['high']:+.5f}] of pAUC {row['limit']} "
            f"at {row['start']}, "
            f"{row['fnmr_change']:+.4f} of FNMR at {SHARE:.0%} discard: {moved}."
        )


def _of_opinions(document: Document) -> Iterator[str]:
    for part in document.get("opinions", ()):
        known = {name: row["srcc"] for name, row in part["engines"].items() if row["srcc"]["value"] is not None}
        if not known:
            continue
        best = max(known, key=lambda name: float(known[name]["value"]))
        groups = [
            (name, group["engines"][best]["srcc"]["value"])
            for name, group in part.get("groups", {}).items()
            if group["engines"][best]["srcc"]["value"] is not None
        ]
        spread = ""
        if groups:
            worst = min(groups, key=lambda pair: float(pair[1]))
            spread = f"; lowest for {part['column']} {worst[0]}: {worst[1]:.4f}"
        yield _titled(
            part,
            f"{best} follows people's opinions best of {len(known)}: SRCC {known[best]['value']:.4f} "
            f"[{known[best]['low']:.4f}, {known[best]['high']:.4f}] over {part['images']} images{spread}.",
        )


def _of_distributions(document: Document) -> Iterator[str]:
    for part in document.get("distributions", ()):
        for row in part["contrasts"]:
            first, second, better = row["first"], row["second"], row["superiority"]
            if better < 0.5:
                first, second, better = second, first, 1 - better
            told = "differ" if row["p"] < 0.05 else "are not told apart (p >= 0.05)"
            yield (
                f"By {part['method']}, the qualities of {row['first']} and {row['second']} {told}: an image of "
                f"{first} is better than one of {second} with a probability of {better:.2f}; the distributions share "
                f"{row['overlap']:.0%}."
            )


def _of_detectors(document: Document) -> Iterator[str]:
    for row in document.get("detectors", ()):
        srcc = "undefined" if row["srcc"] is None else f"{row['srcc']:.4f}"
        yield (
            f"{row['set']}: by {row['method']}, crops of {row['second']} and {row['first']} rank {row['images']} "
            f"shared images with an SRCC of {srcc}."
        )


def _titled(part: Document, text: str) -> str:
    return f"{part['title']}: {text}" if part.get("title") else text[:1].upper() + text[1:]


def _and(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]

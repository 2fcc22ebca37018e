"""What the numbers say, in sentences, and how sure they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fiqa_evaluation.discard.curves import FRACTIONS

Document = Mapping[str, Any]
SHARE = 0.2
"""Discard fraction of the sentences about curves."""
IN_WORDS = f"{100 * SHARE:g} %"
PLACE = round(SHARE / FRACTIONS[1])
"""Where that fraction stands among the twenty."""
MOST_FINDINGS = 12
MOST_NAMED = 3
"""Most evaluations that a line names; of more it gives the number."""


def findings(document: Document) -> list[str]:
    """The sentences on top of the page, the most important first."""
    found = [*_over_all(document), *_of_discard(document)[: MOST_FINDINGS // 2], *_of_precision(document)]
    found += [*_of_opinions(document), *_of_distributions(document), *_of_detectors(document)]
    rest = len(found) - MOST_FINDINGS
    more = "1 more finding stands" if rest == 1 else f"{rest} more findings stand"
    return found if rest <= 0 else [*found[:MOST_FINDINGS], f"{more} in the sections."]


def start_of(row: Document) -> str:
    """The starting error of a curve, in words."""
    start = row.get("start")
    return f"FMR {row['fmr']:g}" if not start else f"{start['by'].upper()} {start['rate']:g}"


def judged(rows: Sequence[Document]) -> str:
    """The starting error that sentences speak of: the strictest whose rates are not uncertain, else the mildest."""
    starts = list(dict.fromkeys(map(start_of, rows)))
    uncertain = {start_of(row) for row in rows if any("fewer than" in note for note in row["notes"])}
    sure = [start for start in starts if start not in uncertain]
    return (sure or starts[:1])[-1]


def _over_all(document: Document) -> Iterator[str]:
    """One sentence over several sets and recognisers, of those in which there is something to sort out."""
    parts = document.get("discard", ())
    told = {place: found for place, part in enumerate(parts) if (found := _best(part)) is not None}
    if len(parts) < 2:
        return
    if not told:
        yield f"In none of {len(parts)} combinations of set and recogniser is there an error to sort out."
        return
    wins: dict[str, int] = defaultdict(int)
    sure: dict[str, int] = defaultdict(int)
    helps: dict[str, int] = defaultdict(int)
    for place, (best, _, unsure) in told.items():
        wins[best] += 1
        sure[best] += not unsure
        helps[best] += _helps(parts[place], best)
    first = max(wins, key=lambda name: (sure[name], wins[name]))
    flawless = len(parts) - len(told)
    without = f" (in {flawless} more no genuine pair fails)" if flawless else ""
    yield (
        f"{first} sorts out recognition errors best, or as well as the best, in {wins[first]} of {len(told)} "
        f"combinations of set and recogniser{without}. It does better than discarding at random in {helps[first]} of "
        f"them, and is surely (95 %) better than every other method in {sure[first] or 'none'}."
    )


def _helps(part: Document, name: str) -> bool:
    """Whether the area by a method is smaller than that of discarding at random."""
    row = next(row for row in part["edc"] if row["name"] == name and start_of(row) == judged(part["edc"]))
    relative = list(row["pauc_relative"].values())[-1]
    return relative is not None and relative < 1


def _best(part: Document) -> tuple[str, list[str], list[str]] | None:
    """The method of the smallest area, those it surely beats, and the others; None where there are no errors."""
    start = judged(part["edc"])
    rows = [row for row in part["edc"] if start_of(row) == start and row["auc"] is not None]
    if not rows or not any(row["fnmr"][0] for row in rows):
        return None
    limit = list(rows[0]["pauc"])[-1]
    best = min(rows, key=lambda row: float(row["pauc"][limit]))["name"]
    compared = {
        frozenset((d["first"], d["second"])): d["verdict"]
        for d in part.get("differences", ())
        if d["start"] == start and d["limit"] == float(limit)
    }
    others = [row["name"] for row in rows if row["name"] != best]
    beaten = [n for n in others if compared.get(frozenset((best, n)), "").startswith(f"{best} is better")]
    return best, beaten, [name for name in others if name not in beaten]


def _of_discard(document: Document) -> list[str]:
    found, flawless = [], []
    for part in document.get("discard", ()):
        start, best = judged(part["edc"]), _best(part)
        if best is None:
            flawless.append(f"{part['title']} at {start}" if part.get("title") else start)
            continue
        name, beaten, unsure = best
        row = next(row for row in part["edc"] if row["name"] == name and start_of(row) == start)
        found.append(_titled(part, f"{_fall(row, start)}{_certainty(part, beaten, unsure)}."))
    if flawless:
        found.insert(
            MOST_FINDINGS // 2 - 1, f"No genuine pair fails, so there is nothing to sort out: {_few(flawless, '; ')}."
        )
    return found


def _fall(row: Document, start: str) -> str:
    before, after = row["fnmr"][0], row["fnmr"][PLACE]
    band = ""
    if "low" in row and row["low"][PLACE] is not None:
        band = f" [{row['low'][PLACE]:.4f}, {row['high'][PLACE]:.4f}]"
    word = "falls" if after < before else "does not fall"
    return (
        f"by {row['name']}, discarding the worst {IN_WORDS} of the genuine pairs, FNMR at {start} {word}: "
        f"{before:.4f} to {after:.4f}{band}"
    )


def _certainty(part: Document, beaten: Sequence[str], unsure: Sequence[str]) -> str:
    if not beaten and not unsure:
        return ""
    if not part.get("differences"):
        return "; it has the smallest area, how surely was not computed"
    parts = [f"surely better (95 %) than {_and(beaten)}"] if beaten else []
    parts += [f"not to be told apart from {_and(unsure)} on these pairs"] if unsure else []
    return f"; it is {', and '.join(parts)}"


def _of_precision(document: Document) -> Iterator[str]:
    by_engine: dict[tuple[str, str], list[Document]] = defaultdict(list)
    for row in document.get("precision", ()):
        by_engine[row["low_precision"], row["reference"]].append(row)
    for (name, reference), rows in by_engine.items():
        moved = [f"{row['set']} with {row['recogniser']}" for row in rows if row["moved"]]
        largest = max(rows, key=lambda row: abs(float(row["difference"])))
        change = max((float(row["fnmr_change"]) for row in rows), key=abs) + 0.0
        where = f" ({_few(moved)})" if moved else ""
        yield (
            f"{name} in place of {reference}: the curve moves measurably in {len(moved)} of {len(rows)} "
            f"combinations{where}; the largest change of the area to {largest['limit']} is "
            f"{largest['difference'] + 0.0:+.5f} [{largest['low'] + 0.0:+.5f}, {largest['high'] + 0.0:+.5f}], "
            f"of FNMR at {IN_WORDS} discard {change:+.4f}."
        )


def _of_opinions(document: Document) -> Iterator[str]:
    for part in document.get("opinions", ()):
        known = {name: row["srcc"] for name, row in part["engines"].items() if row["srcc"]["value"] is not None}
        if not known:
            continue
        best = max(known, key=lambda name: float(known[name]["value"]))
        groups = [
            (float(group["engines"][best]["srcc"]["value"]), name)
            for name, group in part.get("groups", {}).items()
            if group["engines"][best]["srcc"]["value"] is not None
        ]
        spread = f"; lowest for {part['column']} {min(groups)[1]}: {min(groups)[0]:.4f}" if groups else ""
        of = f" best of {len(known)}" if len(known) > 1 else ""
        yield _titled(
            part,
            f"{best} follows people's opinions{of}: SRCC {known[best]['value']:.4f} "
            f"[{known[best]['low']:.4f}, {known[best]['high']:.4f}] over {part['images']} images{spread}.",
        )


def _of_distributions(document: Document) -> Iterator[str]:
    for part in document.get("distributions", ()):
        rows = part["contrasts"]
        differ = sum(row["p"] < 0.05 for row in rows)
        if len(rows) > 1:
            middle = {name: float(spread["quantiles"]["0.5"]) for name, spread in part["sets"].items()}
            high, low = max(middle, key=middle.__getitem__), min(middle, key=middle.__getitem__)
            yield (
                f"By {part['method']}, {high} has the highest median quality ({middle[high]:.3f}) and {low} the lowest "
                f"({middle[low]:.3f}); {differ} of {len(rows)} pairs of sets differ (p < 0.05)."
            )
        for row in rows if len(rows) == 1 else ():
            first, second, better = row["first"], row["second"], row["superiority"]
            if better < 0.5:
                first, second, better = second, first, 1 - better
            told = "differ" if differ else "are not told apart (p >= 0.05)"
            yield (
                f"By {part['method']}, the qualities of {row['first']} and {row['second']} {told}: an image of "
                f"{first} is better than one of {second} with a probability of {better:.2f}; they share "
                f"{100 * row['overlap']:.0f} % of their area."
            )


def _of_detectors(document: Document) -> Iterator[str]:
    by_set: dict[tuple[str, str, str], list[Document]] = defaultdict(list)
    for row in document.get("detectors", ()):
        by_set[row["set"], row["first"], row["second"]].append(row)
    for (name, first, second), rows in by_set.items():
        known = [row["srcc"] for row in rows if row["srcc"] is not None]
        if known:
            span = f"{min(known):.4f}" if len(known) == 1 else f"{min(known):.4f} to {max(known):.4f}"
            yield f"{name}: crops of {second} and {first} rank {rows[0]['images']} images with an SRCC of {span}."


def _titled(part: Document, text: str) -> str:
    return f"{part['title']}: {text}" if part.get("title") else text[:1].upper() + text[1:]


def _and(names: Sequence[str], comma: str = ", ") -> str:
    return " and ".join([comma.join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def _few(names: Sequence[str], comma: str = ", ") -> str:
    rest = len(names) - MOST_NAMED
    return _and(names, comma) if rest <= 0 else f"{comma.join(names[:MOST_NAMED])} and {rest} more"

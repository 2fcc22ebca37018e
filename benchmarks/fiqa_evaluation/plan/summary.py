"""What a plan's results say beside the curves: what precision costs, detectors against each other, faces, warnings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from fiqa_benchmarks.report.sections import picture
from fiqa_runtime.artefact.card import Card
from fiqa_runtime.scoring.agreement import json_number, spearman

from fiqa_evaluation.data_set.files import read_quality
from fiqa_evaluation.page.findings import IN_WORDS, PLACE, judged, start_of
from fiqa_evaluation.plan.material import NEITHER, Engine, Made, PlanSet
from fiqa_evaluation.plan.plan_file import Plan

Document = Mapping[str, Any]
SHOWN = 6
"""Worst and best faces that are shown of each set and method."""
FEW_PAIRS = 1000
"""Below so many pairs of a kind a set is called small."""
UNTRAINED = {
    "standin": "stand-in weights, which this project trained on a handful of pictures: no published model",
    "seeded": "seeded weights, which were never trained: what it gives says nothing about faces",
    "unverified": "weights whose hash nobody published",
}
"""By kind of weights: what a reader must know."""


def precision(discard: Sequence[Document], cards: Mapping[str, Card]) -> list[dict[str, Any]]:
    """For every set and recogniser: each engine of reduced precision against the fp32 one of the same network.

    `moved` says whether the 95 % interval of the difference of partial areas leaves 0 out. Empty without a bootstrap.
    """
    rows = []
    for part in discard:
        start = judged(part["edc"])
        curves = {row["name"]: row for row in part["edc"] if start_of(row) == start}
        for name, card in cards.items():
            reference = next((n for n, c in cards.items() if (c.model, c.precision) == (card.model, "fp32")), None)
            found = None if card.precision == "fp32" or not reference else _difference(part, name, reference, start)
            if found is None or reference is None:
                continue
            change = curves[name]["fnmr"][PLACE] - curves[reference]["fnmr"][PLACE]
            rows.append(
                {
                    "set": part["set"],
                    "recogniser": part["recogniser"],
                    "low_precision": name,
                    "reference": reference,
                    "start": start,
                    **found,
                    "fnmr_change": change,
                }
            )
    return rows


def _difference(part: Document, name: str, reference: str, start: str) -> dict[str, Any] | None:
    """The partial area of `name` minus that of `reference` at the largest limit."""
    rows = [
        row
        for row in part["differences"]
        if row["start"] == start and {row["first"], row["second"]} == {name, reference} and row["low"] is not None
    ]
    if not rows:
        return None
    row = max(rows, key=lambda each: float(each["limit"]))
    ends = (row["value"], row["low"], row["high"])
    value, low, high = ends if row["first"] == name else (-ends[0], -ends[2], -ends[1])
    numbers = {"limit": row["limit"], "difference": value, "low": low, "high": high}
    return {**numbers, "moved": not low <= 0 <= high}


def detectors(
    sets: Sequence[PlanSet], scored: Mapping[str, Mapping[str, Made]], engines: Sequence[Engine]
) -> list[dict[str, Any]]:
    """Where a set was prepared by several detectors: how alike the first one's scores and each other's are."""
    rows = []
    firsts: dict[str, PlanSet] = {}
    for each in sets:
        first = firsts.setdefault(each.table.name, each)
        if each is first or each.detector == NEITHER:
            continue
        shared = sorted(set(first.data.names) & set(each.data.names))
        for engine in engines:
            one, other = (read_quality(scored[s.title][engine.name].path, shared) for s in (first, each))
            rows.append(
                {
                    "set": each.table.name,
                    "method": engine.name,
                    "first": first.detector,
                    "second": each.detector,
                    "images": len(shared),
                    "srcc": json_number(spearman(one, other)),
                    "mean_difference": float(np.mean(other - one)),
                    "largest_difference": float(np.abs(other - one).max()),
                }
            )
    return rows


def faces(each: PlanSet, method: str, made: Made) -> dict[str, Any]:
    """The worst and the best faces of a set by one method, with small pictures."""
    names = [name for name in each.data.names if name not in made.refused]
    values = read_quality(made.path, names)
    order = np.argsort(values, kind="stable")

    def shown(places: Sequence[int]) -> list[dict[str, Any]]:
        return [
            {"image": names[place], "score": float(values[place]), "picture": picture(each.data.read(names[place]))}
            for place in places
        ]

    ends = {"worst": shown(order[:SHOWN].tolist()), "best": shown(order[::-1][:SHOWN].tolist())}
    return {"set": each.title, "method": method, **ends}


def overview(
    discard: Sequence[Document],
    scored: Mapping[str, Mapping[str, Made]],
    embedded: Mapping[str, Mapping[str, Made]],
) -> list[dict[str, str]]:
    """A row per set, recogniser and method, as text by column."""
    rows = []
    for part in discard:
        start = judged(part["edc"])
        for row in part["edc"]:
            if start_of(row) != start:
                continue
            limit = list(row["pauc"])[-1]
            rows.append(
                {
                    "method": row["name"],
                    "set": part["set"],
                    "recogniser": part["recogniser"],
                    "at": start,
                    "FNMR": _number(row["fnmr"][0]),
                    f"FNMR, {IN_WORDS} discarded": _with_band(row),
                    f"pAUC {limit}": _number(row["pauc"][limit], ".6f"),
                    "of random": _number(row["pauc_relative"][limit], ".3f"),
                    "scored/s": _speed(scored[part["set"]][row["name"]]),
                    "embedded/s": _speed(embedded[part["recogniser"]][part["set"]]),
                }
            )
    return rows


def warnings(
    plan: Plan,
    machine: Document,
    sets: Sequence[PlanSet],
    cards: Mapping[str, Card],
    embedded: Mapping[str, Mapping[str, Made]],
) -> list[str]:
    """What has to be known before the page is believed."""
    found = list(plan.notes)
    for kind, words in UNTRAINED.items():
        names = [name for name, card in cards.items() if card.weights.kind == kind]
        names += [
            f"the recogniser {n}" for n, made in embedded.items() if any(m.weights == kind for m in made.values())
        ]
        if names:
            found.append(f"{', '.join(names)}: {words}")
    small = []
    for each in sets:
        counts = each.data.manifest.get("counts", {})
        if any(counts.get(kind, FEW_PAIRS) < FEW_PAIRS for kind in ("genuine", "impostor")):
            small.append(f"{each.title} ({counts['genuine']} genuine and {counts['impostor']} impostor pairs)")
    if small:
        found.append(f"small sets: {', '.join(small)}")
    load, cores = machine.get("load_average"), machine.get("usable_cores")
    if load is not None and cores is not None and load > cores:
        found.append(
            f"the machine was busy at the start (load {load:.1f} on {cores:g} cores): images per second are too low, "
            "error rates are not affected"
        )
    return found


def could_not(
    plan: Plan,
    sets: Sequence[PlanSet],
    scored: Mapping[str, Mapping[str, Made]],
    embedded: Mapping[str, Mapping[str, Made]],
) -> list[str]:
    """What is not on the page, for want of data."""
    found = list(plan.could_not)
    for each in sets:
        lost = {kind: each.data.manifest.get(kind, {}).get("count", 0) for kind in ("missing", "refused")}
        if any(lost.values()):
            pairs = each.data.manifest["pairs_left_out"]
            found.append(
                f"{each.title} is not whole: {lost['missing']} listed images are missing, {lost['refused']} refused, "
                f"{pairs} pairs were left out; numbers published for the whole set cannot be compared"
            )
        if not each.data.manifest:
            found.append(f"{each.title} has no manifest, so nothing says whether its images are those of the authors")
    made = [(f"{s}, {name}", m) for s, row in scored.items() for name, m in row.items()]
    made += [(f"{s}, {name}", m) for name, row in embedded.items() for s, m in row.items()]
    return found + [f"{title}: {len(m.refused)} images could not be used" for title, m in made if m.refused]


def _with_band(row: Document) -> str:
    value = _number(row["fnmr"][PLACE])
    if "low" not in row or row["low"][PLACE] is None:
        return value
    return f"{value} [{row['low'][PLACE]:.4f}, {row['high'][PLACE]:.4f}]"


def _number(value: float | None, form: str = ".4f") -> str:
    return "–" if value is None else format(value, form)


def _speed(made: Made) -> str:
    return "kept" if made.images_per_second is None else f"{made.images_per_second:.0f}"

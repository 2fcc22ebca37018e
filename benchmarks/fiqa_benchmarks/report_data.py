"""What a report shows beside the numbers of the JSON document: scores per image, moved faces, maps, cards, ladders.

Every function returns one optional section of the document that :func:`fiqa_benchmarks.report.write_report` takes.
"""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fiqa_runtime.agreement import Scores, rejection_threshold
from fiqa_runtime.card import Card
from fiqa_runtime.errors import InputError
from fiqa_runtime.overlay import map_picture
from fiqa_runtime.preprocess import Image, check_image
from numpy.typing import NDArray

from fiqa_benchmarks.bench import Result
from fiqa_benchmarks.peers import open_contender, prepare

Maps = NDArray[np.float32]

SHARE = 0.10
"""Rejected share of the images at which changed decisions are marked."""
MOST_MOVED = 6
"""Faces shown for each engine."""
NEGLIGIBLE = 1e-5
"""Share of the score range that another order of summation may move a score by."""
MOST_MAPS = 4
"""Faces whose maps are shown."""
PICTURE_SIDE = 160
"""Longer side in pixels that pictures are reduced to."""
JPEG_QUALITY = 88
PRISTINE = "pristine"
"""Kind of the untouched picture in a parity set."""


def sections(
    results: Sequence[Result],
    crops: Sequence[Image],
    names: Sequence[str] | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """`scores`, `worst`, `maps` and `cards` of the contenders in `results` that ran, as far as there are any.

    Runs the first contender and the others of its network once more over `crops` (uint8 BGR), called by `names` or
    by their number. Raises what opening and running a contender raises.
    """
    names = names or [f"image {index + 1}" for index in range(len(crops))]
    ran = [result for result in results if result.loaded]
    found: dict[str, Any] = {"cards": cards({Path(r.contender.artefact).name: r.loaded.card for r in ran if r.loaded})}
    scores, maps = _run_again(ran, crops, threads)
    if scores:
        found["scores"] = {"images": list(names), "engines": {name: s.tolist() for name, s in scores.items()}}
        found["worst"] = worst_moved(scores, crops, names)
    if maps:
        found["maps"] = map_rows(maps, crops, names)
    return found


def cards(by_name: Mapping[str, Card]) -> dict[str, Any]:
    """Cards as plain data, without the canaries, which only a program reads."""
    found = {name: json.loads(card.to_json()) for name, card in by_name.items()}
    for card in found.values():
        for unread in ("fiqa_card", "canaries", "canary_tolerance"):
            card.pop(unread)
    return found


def ladders(rungs: Sequence[tuple[str, int]], scores: Mapping[str, Scores]) -> dict[str, dict[str, list[float]]]:
    """Mean scores by engine, kind and strength of pictures whose (kind, strength) are `rungs`, in their order.

    Strength 0 of every kind is the untouched picture, kind `pristine`. Raises InputError where scores and rungs differ
    in number, or where a strength is missing.
    """
    if any(len(values) != len(rungs) for values in scores.values()):
        raise InputError(f"a parity set of {len(rungs)} pictures needs as many scores of each engine")
    places: dict[str, dict[int, list[int]]] = {}
    for index, (kind, strength) in enumerate(rungs):
        places.setdefault(kind, {}).setdefault(strength, []).append(index)
    untouched = places.pop(PRISTINE, {})
    for kind, by_strength in places.items():
        by_strength.update(untouched)
        if sorted(by_strength) != list(range(len(by_strength))):
            raise InputError(f"the ladder of {kind} lacks a strength; score the whole parity set, pristine included")
    return {
        engine: {
            kind: [float(np.mean(np.asarray(values)[by_strength[step]])) for step in sorted(by_strength)]
            for kind, by_strength in places.items()
        }
        for engine, values in scores.items()
    }


def worst_moved(scores: Mapping[str, Scores], crops: Sequence[Image], names: Sequence[str]) -> list[dict[str, Any]]:
    """For every engine but the first the MOST_MOVED faces whose scores moved farthest from the first's.

    Scores that moved by less than NEGLIGIBLE of the first's range are left out. An entry holds `engine`, `image`,
    `picture`, `reference`, `score` and `flips`.
    """
    (_, first), *others = ((name, np.asarray(values, np.float64)) for name, values in scores.items())
    threshold = rejection_threshold(first, SHARE) if first.size > 1 else -np.inf
    entries = []
    for engine, values in others:
        moved = np.abs(values - first)
        for index in np.argsort(-moved, kind="stable")[:MOST_MOVED]:
            if moved[index] > NEGLIGIBLE * np.ptp(first):
                entries.append(
                    {
                        "engine": engine,
                        "image": names[index],
                        "picture": picture(crops[index]),
                        "reference": float(first[index]),
                        "score": float(values[index]),
                        "flips": bool((first[index] >= threshold) != (values[index] >= threshold)),
                    }
                )
    return entries


def map_rows(maps: Mapping[str, Maps], crops: Sequence[Image], names: Sequence[str]) -> list[dict[str, Any]]:
    """Face and maps (N, H, W) of every engine side by side, for the MOST_MAPS faces whose maps moved farthest.

    An entry holds `image`, `picture` and `maps`: by engine `picture`, `mean` and `max_abs`, the largest |d| of a
    pixel to the first engine's map.
    """
    first = next(iter(maps.values()))
    moved = np.max([np.abs(own - first).max(axis=(1, 2)) for own in maps.values()], axis=0)
    return [
        {
            "image": names[index],
            "picture": picture(crops[index]),
            "maps": {
                engine: {
                    "picture": picture(map_picture(own[index])),
                    "mean": float(own[index].mean()),
                    "max_abs": float(np.abs(own[index] - first[index]).max()),
                }
                for engine, own in maps.items()
            },
        }
        for index in np.argsort(-moved, kind="stable")[:MOST_MAPS]
    ]


def picture(image: Image) -> str:
    """uint8 BGR (H, W, 3) as the ``data:`` address of a JPEG whose longer side is at most PICTURE_SIDE."""
    check_image(image)
    scale = min(PICTURE_SIDE / max(image.shape[:2]), 1)
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode("ascii")


def _run_again(
    ran: Sequence[Result], crops: Sequence[Image], threads: int | None
) -> tuple[dict[str, NDArray[np.float32]], dict[str, Maps]]:
    """Scores (N,) and maps (N, H, W) by contender name, of the first contender's network."""
    scores: dict[str, NDArray[np.float32]] = {}
    maps: dict[str, Maps] = {}
    with tempfile.TemporaryDirectory(prefix="fiqa-bench-") as folder:
        for result in ran:
            assert result.loaded and ran[0].loaded
            if result.loaded.card.model != ran[0].loaded.card.model:
                continue
            with open_contender(prepare(result.contender, Path(folder)), threads) as scorer:
                outputs = scorer.outputs(crops)
            if "score" in outputs:
                scores[result.contender.name] = outputs["score"].reshape(len(crops), -1)[:, 0]
            if "map" in outputs:
                maps[result.contender.name] = outputs["map"].reshape(len(crops), *outputs["map"].shape[-2:])
    return scores, maps

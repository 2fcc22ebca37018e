"""Makes what a report shows beside the numbers of the JSON document: scores per image, moved faces, maps, cards.

Every function returns one optional section of the document that :func:`fiqa_benchmarks.report.page.write_report` takes.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.spec import output_of
from fiqa_runtime.faces.drawing import map_picture
from fiqa_runtime.images.preprocess import Image, check_image
from fiqa_runtime.scoring.agreement import Scores, rejection_threshold
from numpy.typing import NDArray

from fiqa_benchmarks.contenders.peers import PEERS
from fiqa_benchmarks.speed.bench import Result

Maps = NDArray[np.float32]

SHARE = 0.10
"""Share of the images that is rejected where changed decisions are marked."""
MOST_MOVED = 6
"""Most faces that are shown for each engine."""
NEGLIGIBLE = 1e-5
"""Share of the score range by which another order of summation may move a score."""
MOST_MAPS = 4
"""Most faces whose maps are shown."""
LONGEST_LIST = 16
"""Most numbers of a list in a card that are shown one by one."""
PICTURE_SIDE = 160
"""Longer side, in pixels, to which pictures are reduced."""
JPEG_QUALITY = 88


def sections(results: Sequence[Result], crops: Sequence[Image], names: Sequence[str]) -> dict[str, Any]:
    """The sections `scores`, `worst`, `maps` and `cards` of the contenders in `results` that ran, as far as they exist.

    Taken from the outputs that the benchmark kept for `crops` (uint8 BGR), called by `names`.
    """
    engines = {r.contender.name: r.loaded.card for r in results if r.loaded and r.contender.name not in PEERS}
    found: dict[str, Any] = {"cards": cards(engines)}
    count = len(crops)
    scores = {name: values.reshape(count) for name, values in _of_kind("score", results)}
    maps = {name: values.reshape(count, *values.shape[-2:]) for name, values in _of_kind("map", results)}
    if scores:
        found["scores"] = {"images": list(names), "engines": {name: s.tolist() for name, s in scores.items()}}
        found["worst"] = worst_moved(scores, names, crops.__getitem__)
    if maps:
        found["maps"] = map_rows(maps, crops, names)
    return found


def _of_kind(kind: str, results: Sequence[Result]) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The output of a `kind` of each comparable contender that has one, by the contender's name."""
    for result in comparable(results):
        name = output_of(kind, result.loaded.card.outputs) if result.loaded else None
        if name is not None and result.outputs:
            yield result.contender.name, result.outputs[name]


def comparable(results: Sequence[Result]) -> list[Result]:
    """The first contender that ran, and the others of its network."""
    ran = [(result, result.loaded.card.model) for result in results if result.loaded and not result.error]
    return [result for result, model in ran if model == ran[0][1]]


def cards(by_name: Mapping[str, Card]) -> dict[str, Any]:
    """Cards as plain data, without what only programs read: canaries and long lists of numbers."""
    found = {name: json.loads(card.to_json()) for name, card in by_name.items()}
    for card in found.values():
        for unread in ("fiqa_card", "canaries", "canary_tolerance"):
            card.pop(unread)
    return {name: _shortened(card) for name, card in found.items()}


def _shortened(value: Any) -> Any:
    """`value` with every list of more than LONGEST_LIST numbers replaced by their count."""
    if isinstance(value, dict):
        return {key: _shortened(inner) for key, inner in value.items()}
    if isinstance(value, list) and len(value) > LONGEST_LIST and all(isinstance(v, (int, float)) for v in value):
        return f"{len(value)} numbers"
    return value


def worst_moved(
    scores: Mapping[str, Scores], names: Sequence[str], image: Callable[[int], Image]
) -> list[dict[str, Any]]:
    """For every engine but the first, the MOST_MOVED faces whose scores are farthest from those of the first engine.

    `image` gives the uint8 BGR picture at a place of `names`. Scores that moved by less than NEGLIGIBLE of the first
    engine's range are left out. An entry holds `engine`, `image`, `picture`, `reference`, `score` and `flips`.
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
                        "picture": picture(image(int(index))),
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

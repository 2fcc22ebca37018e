"""``fiqa-bench --mos``: compares engines with people's opinion scores; an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from fiqa_runtime.artefact.card import Card
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.reading import find_images, read_image
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.files import sha256_of, user_cache
from fiqa_runtime.system.progress import Report
from fiqa_runtime.terminal.console import progress_bar
from fiqa_runtime.terminal.outputs import check_output_folder
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fiqa_benchmarks.contenders.peers import Contender, open_contender, prepare
from fiqa_benchmarks.opinions.accuracy import STATISTICS, Accuracy, Estimate, accuracy
from fiqa_benchmarks.opinions.labels import LabelledImages, match_labels, read_labels
from fiqa_benchmarks.opinions.score_cache import ScoreCache, score_images

CACHE = "scores.sqlite"
CHUNK = 256
"""Images per step of the progress bar; after an image that cannot be scored, only those of its step are read again."""
LISTED = 3
"""Names shown of a long list."""
Unusable = dict[Path, InputError]
"""Images that could not be scored, and why."""


def evaluate_mos(
    console: Console,
    contenders: Sequence[Contender],
    labels: Path,
    images: Path | None = None,
    cache: Path | None = None,
    threads: int | None = None,
) -> tuple[dict[str, Any], dict[str, Card], Unusable]:
    """Score the labelled ready crops with every contender and print how well the scores fit the labels.

    `labels` is what :func:`read_labels` takes; `images` is the folder of the images, None for that of the label file.
    `cache` is a file that keeps scores, None for `scores.sqlite` in the user cache. Returns the ``mos`` part of the
    JSON document, the cards of the contenders by name, and the images that no contender could be compared on. Raises
    InputError where nothing is left to compare, and what opening a contender raises.
    """
    root = images or (labels if labels.is_dir() else labels.parent)
    known = read_labels(labels)
    matched = match_labels(known, find_images([root]), root)
    cache = cache or user_cache() / CACHE
    check_output_folder(cache.parent)
    unusable: Unusable = {}
    scored: dict[str, dict[Path, float]] = {}
    cards: dict[str, Card] = {}
    with progress_bar() as report, tempfile.TemporaryDirectory(prefix="fiqa-bench-") as folder:
        for contender in contenders:
            with open_contender(prepare(contender, Path(folder), threads), threads) as scorer:
                cards[contender.name] = scorer.card
                scored[contender.name] = _scores(scorer, matched.paths, unusable, cache, contender.name, report)
    kept = {path: mos for path, mos in zip(matched.paths, matched.mos.tolist(), strict=True) if path not in unusable}
    if not kept:
        raise InputError(f"none of {len(matched.paths)} labelled images can be scored: {next(iter(unusable.values()))}")
    found = accuracy(
        np.array(list(kept.values())),
        {name: np.array([of[path] for path in kept]) for name, of in scored.items()},
    )
    console.print(_table(found))
    notes = [line for line in (_unmatched(matched), *found.notes) if line]
    console.print(f"{len(matched.paths)} labelled images: {len(kept)} scored, {len(unusable)} refused", highlight=False)
    for line in notes:
        console.print(f"[yellow]{escape(line)}[/]", highlight=False, soft_wrap=True)
    document = {
        **found.as_json(),
        "notes": notes,
        "labels": {"file": str(labels), "missing": matched.missing, "unlabelled": list(map(str, matched.unlabelled))},
        "accounting": {"given": len(matched.paths), "scored": len(kept), "refused": len(unusable)},
        "refused": [{"path": str(path), "error": str(error)} for path, error in unusable.items()],
        "scores": [
            {"path": str(path), "mos": mos, "engines": {name: of[path] for name, of in scored.items()}}
            for path, mos in kept.items()
        ],
    }
    return document, cards, unusable


def unusable_error(unusable: Unusable) -> InputError:
    """The error that names the images that could not be scored, to be raised at the end."""
    first = next(iter(unusable.values()))
    return InputError(f"{len(unusable)} labelled images were left out: {first}")


def _scores(
    scorer: Scorer, paths: Sequence[Path], unusable: Unusable, cache: Path, name: str, report: Report
) -> dict[Path, float]:
    """Scores of the usable `paths`; others are added to `unusable`."""
    if not scorer.has_score:
        raise InputError(
            f"{scorer.card.model} gives no quality scores; fiqa-export --list shows what each network gives"
        )
    found: dict[Path, float] = {}
    with ScoreCache(cache, _identity(scorer), _setup(scorer)) as known:
        for start in range(0, len(paths), CHUNK):
            report(f"score with {name}", start, len(paths))
            found.update(_score_chunk(scorer, paths[start : start + CHUNK], unusable, known))
    report(f"score with {name}", len(paths), len(paths))
    return found


def _score_chunk(scorer: Scorer, paths: Sequence[Path], unusable: Unusable, known: ScoreCache) -> dict[Path, float]:
    while True:
        left = [path for path in paths if path not in unusable]
        before = len(unusable)
        try:
            values = score_images(left, known, lambda files: _score(scorer, files, unusable))
        except InputError:
            if len(unusable) == before:
                raise
        else:
            return dict(zip(left, values.tolist(), strict=True))


def _score(scorer: Scorer, files: Sequence[Path], unusable: Unusable) -> NDArray[np.float32]:
    """Scores of `files`; where that fails, the files at fault are added to `unusable` before the error is raised."""
    try:
        return scorer.score([read_image(file) for file in files])
    except InputError:
        for file in files:
            try:
                scorer.score([read_image(file)])
            except InputError as error:
                unusable[file] = error
        raise


def _identity(scorer: Scorer) -> str:
    """A hash of the artefact and its card, because preprocessing is as much a part of a score as the weights."""
    return hashlib.sha256((sha256_of(scorer.path) + scorer.card.to_json()).encode()).hexdigest()


def _setup(scorer: Scorer) -> str:
    """Everything else that can change a score."""
    parts = {"backend": scorer.backend.name, **scorer.backend.info}
    return json.dumps({**parts, "opencv": cv2.__version__, "fiqa-edge": version("fiqa-edge")}, sort_keys=True)


def _table(found: Accuracy) -> Table:
    first, *others = found.engines
    title = f"{found.images} images with opinion scores, 95 % intervals from {found.resamples} resamples"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in (first, *others, *(f"{name} - {first}" for name in others)):
        table.add_column(escape(name), justify="right", overflow="fold")
    for key in STATISTICS:
        row = [found.engines[name][key] for name in (first, *others)]
        table.add_row(STATISTICS[key], *map(_cell, (*row, *(found.differences[name][key] for name in others))))
    return table


def _cell(estimate: Estimate) -> str:
    return "undefined" if math.isnan(estimate.value) else str(estimate)


def _unmatched(matched: LabelledImages) -> str:
    """A line that counts labels without image and images without label, and names the first few."""
    parts = [
        f"{len(names)} {what} ({', '.join(map(str, names[:LISTED]))}{', ...' if len(names) > LISTED else ''})"
        for names, what in ((matched.missing, "labels without image"), (matched.unlabelled, "images without label"))
        if names
    ]
    return " and ".join(parts) + " were left out" if parts else ""

"""The material of a plan: prepared sets, embeddings, scores, each made once and kept by content."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.location import find_artefact
from fiqa_runtime.errors import InputError
from fiqa_runtime.networks.network_file import read_network
from fiqa_runtime.scoring.scorer import Scorer
from fiqa_runtime.system.progress import Report

from fiqa_evaluation.data_set.set_folder import SetFolder, open_set
from fiqa_evaluation.embedding.extract import embed_set, images_mark
from fiqa_evaluation.embedding.recogniser import open_recogniser
from fiqa_evaluation.plan.plan_file import Plan, RecogniserTable, SetTable
from fiqa_evaluation.plan.steps import Steps, content_of, digest
from fiqa_evaluation.scores.score_set import identity_of, score_set, setup_of, write_quality
from fiqa_evaluation.sources.find_source import Wanted
from fiqa_evaluation.sources.photo_crops import is_mtcnn
from fiqa_evaluation.sources.preparing import prepare_set

NEITHER = "as given"
"""Stands for the detector of a set whose images are crops."""


@dataclass(frozen=True)
class PlanSet:
    """A prepared set of a plan."""

    title: str
    """The set's name, with the detector where there are several."""
    table: SetTable
    detector: str
    data: SetFolder
    content: str
    """A hash of its images and lists."""


@dataclass(frozen=True)
class Engine:
    """A quality network of a plan, loaded."""

    name: str
    scorer: Scorer
    lower_is_better: bool
    content: str
    """A hash of the artefact, its card and what runs it."""

    @property
    def card(self) -> Card:
        return self.scorer.card


@dataclass(frozen=True)
class Made:
    """A file of embeddings or scores, and what it was made of."""

    path: Path
    content: str
    refused: Mapping[str, str]
    images_per_second: float | None
    """None where some of it was kept from before."""
    weights: str
    """Kind of the network's weights."""


def prepared_sets(plan: Plan, root: Path, out: Path, report: Report) -> list[PlanSet]:
    """Every set, once for each of its detectors."""
    found = []
    for table in plan.sets:
        for detector in table.detectors or (NEITHER,):
            title = f"{table.name} ({detector})" if len(table.detectors) > 1 else table.name
            data = _prepared(table, detector, root, out, report)
            lists = [path for path in (data.pairs, data.persons, data.templates) if path is not None]
            content = digest({"images": images_mark(data), "lists": [content_of(path) for path in lists]})
            found.append(PlanSet(title, table, detector, data, content))
    return found


def _prepared(table: SetTable, detector: str, root: Path, out: Path, report: Report) -> SetFolder:
    if table.prepared is not None:
        return open_set(root / table.prepared, table.colour_as_published or None)
    source = root / str(table.source)
    if not source.exists():
        raise InputError(f"there is no {source} for the set {table.name}; check the path in the plan")
    wanted = Wanted(
        None if table.pairs is None else root / table.pairs,
        table.impostor_share,
        table.seed,
        None if detector == NEITHER else _beside(root, detector),
        table.preset if is_mtcnn(detector) else None,
    )
    key = digest(
        {"source": content_of(source), **wanted.as_json(), "share": wanted.impostor_share, "seed": wanted.seed}
    )
    done = prepare_set(source, out / "sets" / key[:12], table.name, wanted, False, report)
    return open_set(done.folder)


def _beside(root: Path, name: str) -> str:
    """The file `name` beside the plan, where there is one; else `name`."""
    return str(root / name) if (root / name).is_file() else name


def opened_engines(plan: Plan, root: Path) -> list[Engine]:
    """Every quality network; raises InputError where two have the same name."""
    found: list[Engine] = []
    for table in plan.qualities:
        path = artefact_of(table.engine, root)
        name = table.name or path.name.removesuffix(path.suffix)
        if len(name.split()) != 1 or "/" in name:
            raise InputError(f"'{name}' cannot be the name of a method; give {path} a name without blanks and slashes")
        if name in [engine.name for engine in found]:
            raise InputError(f"two qualities are called {name}; give one of them a name in the plan")
        run = plan.run
        scorer = Scorer(path, run.backend, run.threads, run.cpu_precision, device=run.device)
        content = digest({"engine": identity_of(scorer), "setup": setup_of(scorer)})
        found.append(Engine(name, scorer, table.lower_is_better, content))
    return found


def artefact_of(name: str, root: Path) -> Path:
    """The artefact `name`, beside the plan or where commands look for it."""
    return root / name if (root / name).is_file() else find_artefact(name)


def embeddings(
    sets: Sequence[PlanSet], table: RecogniserTable, plan: Plan, root: Path, out: Path, steps: Steps, report: Report
) -> dict[str, Made]:
    """The embeddings of every set by one recogniser, by title of the set; the network is opened only where one is
    missing."""
    path = root / table.network if (root / table.network).is_file() else find_artefact(table.network)
    network = content_of(path)
    if path.suffix.lower() == ".toml":
        reference = read_network(path).reference.onnx
        network += content_of(path.parent / reference) if reference else ""
    opened: Any = None
    found = {}
    try:
        for each in sets:
            content = {"set": each.content, "network": network, "preset": table.preset, "flip": table.flip}
            key = digest(content)
            place = out / "embeddings" / f"{each.data.name}_{table.name}.{key[:12]}.npz"

            def make(each: PlanSet = each, place: Path = place) -> dict[str, Any]:
                nonlocal opened
                run = plan.run
                opened = opened or open_recogniser(
                    path, table.preset, table.flip, run.backend, run.threads, run.batch, run.device
                )
                began = time.perf_counter()
                done = embed_set(each.data, opened, place, report)
                took = time.perf_counter() - began
                kind = opened.scorer.card.weights.kind
                return {"refused": done.refused, "speed": done.images / took, "weights": kind}

            name = f"embed-{each.data.name}-{each.detector}-{table.name}"
            found[each.title] = _made(name, content, steps, make, place)
    finally:
        if opened is not None:
            opened.close()
    return found


def scores(each: PlanSet, engine: Engine, out: Path, steps: Steps, report: Report) -> Made:
    """The quality file of one set by one engine."""
    content = {"set": each.content, "engine": engine.content, "name": engine.name}
    place = out / "scores" / digest(content)[:12]

    def make() -> dict[str, Any]:
        began = time.perf_counter()
        done = score_set(each.data, engine.scorer, engine.name, out / "scores.sqlite", report)
        took = time.perf_counter() - began
        if not done.scores:
            raise InputError(f"{engine.name} can score none of the images: {next(iter(done.refused.values()))}")
        write_quality(each.data, done, place)
        speed = len(done.scores) / took if done.whole else None
        return {"refused": done.refused, "speed": speed, "weights": engine.card.weights.kind}

    file = place / each.data.quality_file(engine.name).name
    return _made(f"score-{each.data.name}-{each.detector}-{engine.name}", content, steps, make, file)


def _made(name: str, content: Mapping[str, Any], steps: Steps, make: Callable[[], Any], place: Path) -> Made:
    """The result of a step that writes the file `place`."""
    row, kept = steps.result(name, content, make, place)
    speed = None if kept else row["speed"]
    return Made(place, digest(content), row["refused"], speed, row["weights"])

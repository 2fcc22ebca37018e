"""Runs a plan: every set with every recogniser and every quality network, and the document of the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fiqa_benchmarks.speed.machine import machine, versions
from fiqa_runtime.images.reading import find_images
from fiqa_runtime.system.files import user_cache
from fiqa_runtime.system.progress import Report, silent
from fiqa_runtime.terminal.outputs import check_output_folder

from fiqa_evaluation.data_set.files import read_quality
from fiqa_evaluation.discard.evaluate import Wanted, evaluate
from fiqa_evaluation.discard.inputs import Files, load
from fiqa_evaluation.discard.start import Start
from fiqa_evaluation.distributions.compare import compare
from fiqa_evaluation.opinions.evaluate import fit
from fiqa_evaluation.opinions.labels import check_range, match_labels, read_groups, read_labels
from fiqa_evaluation.opinions.score_labels import Unusable, score_labelled
from fiqa_evaluation.plan.material import Engine, Made, PlanSet, embeddings, opened_engines, prepared_sets, scores
from fiqa_evaluation.plan.plan_file import OpinionTable, Plan, RecogniserTable
from fiqa_evaluation.plan.steps import Steps, content_of
from fiqa_evaluation.plan.summary import could_not, detectors, faces, overview, precision, warnings
from fiqa_evaluation.scores.score_set import CACHE

Document = dict[str, Any]


def run_plan(plan: Plan, root: Path, out: Path, report: Report = silent) -> tuple[Document, Steps]:
    """Everything that `plan` asks for; files go to `out`, paths of the plan are relative to `root`.

    Returns the document of the page and what was computed and kept. A run that was cut goes on where it stopped.
    """
    check_output_folder(out)
    steps = Steps(out / "steps")
    check_output_folder(steps.folder)
    state = machine()
    sets = prepared_sets(plan, root, out, report)
    engines = opened_engines(plan, root)
    try:
        scored = {each.title: {e.name: scores(each, e, out, steps, report) for e in engines} for each in sets}
        embedded = {table.name: embeddings(sets, table, plan, root, out, steps, report) for table in plan.recognisers}
        discard = [
            _discard(each, table, embedded[table.name][each.title], scored[each.title], engines, plan, steps, report)
            for each in sets
            for table in plan.recognisers
        ]
        opinions = [_opinions(table, engines, root, steps, report) for table in plan.opinions]
        found: Document = {
            "title": plan.title,
            "machine": state,
            "versions": versions(),
            "plan": asdict(plan),
            "discard": discard,
            "distributions": _distributions(sets, scored, engines, steps),
            "opinions": opinions,
            "faces": [faces(each, e.name, scored[each.title][e.name]) for each in sets for e in engines],
        }
        cards = {engine.name: engine.card for engine in engines}
        found["precision"] = precision(discard, cards)
        found["detectors"] = detectors(sets, scored, engines)
        found["overview"] = overview(discard, scored, embedded)
        found["warnings"] = warnings(plan, state, sets, cards, embedded)
        found["could_not"] = could_not(plan, sets, scored, embedded)
    finally:
        for engine in engines:
            engine.scorer.close()
    return found, steps


def _discard(
    each: PlanSet,
    table: RecogniserTable,
    vectors: Made,
    scored: Mapping[str, Made],
    engines: Sequence[Engine],
    plan: Plan,
    steps: Steps,
    report: Report,
) -> Document:
    """The curves of one set with one recogniser, of all methods, since they are compared over the same draws."""
    settings = plan.discard
    lower = frozenset(engine.name for engine in engines if engine.lower_is_better)
    starts = (*(Start("fmr", rate) for rate in settings.fmr), *(Start("fnmr", rate) for rate in settings.fnmr))
    wanted = Wanted(settings.protocol, starts, settings.limits, settings.bootstrap, settings.seed, settings.also)

    def compute() -> Document:
        files = Files(
            each.data.pairs,
            vectors.path,
            {name: made.path for name, made in scored.items()},
            each.data.templates,
            each.data.persons,
            settings.metric,
            lower,
        )
        loaded = load(files, settings.bootstrap > 0)
        result = evaluate(loaded.comparisons, loaded.identity, loaded.qualities, lower, wanted, report)
        counts = {"bootstrap": settings.bootstrap, "metric": settings.metric, **loaded.counts()}
        return {"comparisons": counts, **result.as_json(), "notes": list(result.notes)}

    content = {
        "set": each.content,
        "embeddings": vectors.content,
        "scores": {name: made.content for name, made in scored.items()},
        "settings": asdict(settings),
        "lower": sorted(lower),
    }
    found, _ = steps.result(f"discard-{each.data.name}-{each.detector}-{table.name}", content, compute)
    return {"title": f"{each.title}, {table.name}", "set": each.title, "recogniser": table.name, **found}


def _distributions(
    sets: Sequence[PlanSet], scored: Mapping[str, Mapping[str, Made]], engines: Sequence[Engine], steps: Steps
) -> list[Document]:
    found = []
    for engine in engines if len(sets) > 1 else ():
        files = {each.title: scored[each.title][engine.name] for each in sets}

        def compute(files: Mapping[str, Made] = files, name: str = engine.name) -> Document:
            values = {each.title: read_quality(files[each.title].path, each.data.names) for each in sets}
            return compare(name, values).as_json()

        content = {title: made.content for title, made in files.items()}
        found.append(steps.result(f"distribution-{engine.name}", content, compute)[0])
    return found


def _opinions(table: OpinionTable, engines: Sequence[Engine], root: Path, steps: Steps, report: Report) -> Document:
    labels = root / table.labels
    folder = root / table.images if table.images else labels if labels.is_dir() else labels.parent
    known = read_labels(labels)
    if table.range is not None:
        check_range(known, *table.range)

    def compute() -> Document:
        matched = match_labels(known, find_images([folder]), folder)
        unusable: Unusable = {}
        cache = user_cache() / CACHE
        check_output_folder(cache.parent)
        scored = {e.name: score_labelled(e.scorer, matched.paths, unusable, cache, e.name, report) for e in engines}
        groups = read_groups(root / table.groups if table.groups else labels, table.by) if table.by else None
        return fit(matched, scored, unusable, groups, table.by, folder, table.bootstrap).as_json(labels)

    content = {
        "labels": known,
        "images": content_of(folder),
        "engines": {engine.name: engine.content for engine in engines},
        "groups": content_of(root / table.groups) if table.groups else None,
        "by": table.by,
        "bootstrap": table.bootstrap,
    }
    return {"title": table.name, **steps.result(f"opinions-{table.name}", content, compute)[0]}

"""What ``fiqa-export MODEL`` does once its options are read: export each network, and report on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from fiqa_calibration.dataset import REASONS
from fiqa_runtime.artefact.card import Card
from fiqa_runtime.artefact.facts import Int8Conversion
from fiqa_runtime.errors import FiqaError
from fiqa_runtime.images.reading import search_images
from fiqa_runtime.system.progress import Report
from fiqa_runtime.terminal.console import detail, progress_bar, stderr, tell
from fiqa_runtime.terminal.outputs import write_json
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from fiqa_export.graph.files import size_of
from fiqa_export.own.network import open_network
from fiqa_export.pipeline import Exported, Options, export
from fiqa_export.plan.target import NoBuilderError, PlanOptions, order_plan
from fiqa_export.serving.delivery import ServingFolders


def export_all(
    names: list[str],
    weights: str | None,
    out: Path,
    options: Options,
    plan: PlanOptions | None,
    servers: ServingFolders,
    json: str | None,
) -> None:
    """Export every network of `names`, and build a plan of each as `plan` asks; None: no plans.

    A failure ends the run only where there is one network. Where `plan` leaves the choice of TensorRT open and none can
    build here, the ONNX files are exported all the same, and a line says why there are no plans.

    Raises what :func:`fiqa_export.plan.target.order_plan` and :func:`fiqa_export.pipeline.export` raise, SystemExit
    where some of several failed.
    """
    no_plan: str | None = None
    if plan is not None:
        try:
            options = replace(options, plan=order_plan(plan, options.recipe.precision))
        except NoBuilderError as error:
            no_plan = str(error)
    passed_over = _passed_over(options)
    done: list[Exported] = []
    failed: dict[str, FiqaError] = {}
    with progress_bar() as report:
        for name in names:
            try:
                done.append(_one(name, weights, out, options, servers, report))
            except FiqaError as error:
                if len(names) == 1:
                    raise
                failed[name] = error
    if done:
        stderr.print(_summary(done))
        written = sum(1 + (item.plan is not None) for item in done)
        tell([f"wrote {written} artefact{'' if written == 1 else 's'}, each with its card, to {out}", *servers.told()])
        for item in done:
            for line in _notes(item.card):
                stderr.print(escape(line), soft_wrap=True, highlight=False)
        if no_plan:
            stderr.print(f"no TensorRT plan was built: {escape(no_plan)}", soft_wrap=True, highlight=False)
    for name, problem in failed.items():
        stderr.print(f"[bold red]{name}:[/] {escape(str(problem))}", soft_wrap=True, highlight=False)
    if json:
        artefacts = [document for exported in done for document in _documents(exported)]
        document = {
            "artefacts": artefacts,
            "failed": {n: str(e) for n, e in failed.items()},
            "passed_over": [{"path": str(path), "reason": reason} for path, reason in passed_over.items()],
        }
        write_json(document, json, "fiqa-export.v1")
    if failed:
        raise SystemExit(max(problem.exit_code for problem in failed.values()))


def _passed_over(options: Options) -> dict[Path, str]:
    """What stands in the folders of --images and --calib and is not an image, with the reason; told on stderr too."""
    passed_over: dict[Path, str] = {}
    calib = Path(options.calib) if options.calib is not None else None
    for option, folder in (("--images", options.images), ("--calib", calib)):
        if folder is not None and folder.is_dir():
            found = search_images([folder])
            tell(filter(None, [found.note(option)]))
            passed_over |= found.passed_over
    return passed_over


def _one(
    name: str, weights: str | None, out: Path, options: Options, servers: ServingFolders, report: Report
) -> Exported:
    code = open_network(name).runs
    if code is not None:
        tell([f"running your own code: {code}"])
    exported = export(name, weights, out, options, report)
    detail(f"{name}: {exported.card.weights.description}; {exported.seconds:.1f} s")
    servers.write(exported.path, exported.card, exported.plan)
    return exported


def _notes(card: Card) -> Iterator[str]:
    """What people have to know of one network."""
    yield f"weights of {card.model}: {card.weights.description}"
    yield f"licence of {card.model}: {card.licence}"
    left_out = card.parity.left_out
    if left_out:
        yield f"{card.model}: {len(left_out)} pictures of --images cannot be used ({left_out[0]}), the card names them"
    if isinstance(card.conversion, Int8Conversion):
        for line in _on_calibration(card.conversion):
            yield f"{card.model}: {line}"


def _on_calibration(conversion: Int8Conversion) -> Iterator[str]:
    """What people have to know of the calibration images; nothing where there were none."""
    if conversion.warning:
        yield conversion.warning
    left_out = {reason: count for reason, count in (conversion.left_out or {}).items() if count}
    if left_out:
        reasons = ", ".join(f"{count} {REASONS[reason]}" for reason, count in left_out.items())
        yield f"{sum(left_out.values())} calibration images left out: {reasons}"


def _documents(exported: Exported) -> list[dict[str, Any]]:
    document = {
        **_document(exported.path, exported.card),
        "seconds": round(exported.seconds, 2),
        "parity": exported.card.as_json()["parity"],
    }
    return [document, _document(exported.plan.path, exported.plan.card)] if exported.plan else [document]


def _document(path: Path, card: Card) -> dict[str, Any]:
    plain = card.as_json()
    return {
        "model": card.model,
        "precision": card.precision,
        "format": card.format,
        "path": path,
        "bytes": size_of(path),
        **{key: plain[key] for key in ("weights", "licence", "conversion", "plan", "files")},
    }


def _summary(done: list[Exported]) -> Table:
    plans = any(item.plan for item in done)
    columns = ("network", "MB", *(["plan MB"] if plans else []), "weights", "|d|/range", "SRCC", "flips", "verdict")
    table = Table(*columns, title="Exported", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.columns[0].no_wrap = True
    for item in done:
        parity, score = item.parity, item.parity.score
        worst = max(parity.max_abs, key=lambda name: parity.max_abs[name] / parity.range[name])
        table.add_row(
            f"{item.card.model} {item.card.precision}",
            f"{size_of(item.path) / 1e6:.1f}",
            *([f"{size_of(item.plan.path) / 1e6:.1f}" if item.plan else "-"] if plans else []),
            item.card.weights.kind,
            f"{parity.max_abs[worst] / parity.range[worst]:.1e}",
            f"{score.srcc:.6f}" if score else "-",
            f"{score.flips[0.10]:.1%}" if score else "-",
            "[green]pass[/]" if parity.passed else "[red]fail[/]",
        )
    return table

"""``fiqa-export``: checkpoint -> artefact with card and parity verdict."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from fiqa_runtime.console import check_output_folder, progress_bar, run, stderr, write_json
from fiqa_runtime.errors import DependencyError, FiqaError, InputError
from fiqa_runtime.zoo import MODELS, find_model
from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from fiqa_export.pipeline import Exported, Options

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def export(
    model: Annotated[str | None, typer.Argument(help="Network to export, or 'all'; --list shows them.")] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="FILE, a weight set of --list, 'seeded' or 'seeded:N'. Default: the authors' file."),
    ] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="Half precision where the ranking survives it.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="8-bit integers where the ranking survives it.")] = False,
    calib: Annotated[
        str | None, typer.Option(help="--int8: folder of face crops, a file of ranges, or 'seeded' for a dry run.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the artefacts.")] = Path("engines"),
    images: Annotated[
        Path | None, typer.Option(help="Photos or crops whose degradation ladders join the parity check.")
    ] = None,
    json: Annotated[str | None, typer.Option(help="Write one JSON document to FILE, or '-' for stdout.")] = None,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Keep an artefact that fails its verdict.")
    ] = False,
    list_models: Annotated[bool, typer.Option("--list", help="Show the known networks and end.")] = False,
) -> None:
    """Export a face image quality network to ONNX, with a card and a parity verdict against PyTorch.

    fp16 is judged in true half arithmetic, int8 as it computes; both by what they do to the ranking.

    Exit code 0: done. 2: bad input or missing dependency. 3: a verdict failed, no artefact was left.
    """
    if list_models:
        _list(json)
        return
    if model is None:
        raise InputError("which network? fiqa-export MODEL; fiqa-export --list shows all of them")
    names = list(MODELS) if model == "all" else [find_model(model).name]
    if fp16 and int8:
        raise InputError("--fp16 and --int8 make two artefacts; run the command once for each")
    if int8 != (calib is not None):
        raise InputError(
            "--int8 and --calib go together: --int8 --calib FOLDER with face crops as the network gets them"
            " (fiqa-score --overlay writes them), --calib RANGES.json, or --calib seeded to try the toolchain"
        )
    check_output_folder(out)
    _need_export_packages()
    from fiqa_export.pipeline import Options
    from fiqa_export.recipe import RECIPES

    recipe = RECIPES["fp16" if fp16 else "int8" if int8 else "fp32"]
    _export_all(names, weights, out, Options(recipe, images, calib, keep_failed), json)


def _export_all(names: list[str], weights: str | None, out: Path, options: Options, json: str | None) -> None:
    from fiqa_export.pipeline import export as export_model

    done: list[Exported] = []
    failed: dict[str, FiqaError] = {}
    with progress_bar() as report:
        for name in names:
            try:
                done.append(export_model(name, weights, out, options, report))
            except FiqaError as error:
                if len(names) == 1:
                    raise
                failed[name] = error
    if done:
        stderr.print(_summary(done))
        stderr.print(f"in {out}; weights: {done[0].card.weights['description']}", soft_wrap=True, highlight=False)
    for name, problem in failed.items():
        stderr.print(f"[bold red]{name}:[/] {escape(str(problem))}", soft_wrap=True, highlight=False)
    if json:
        write_json(
            {"artefacts": [_document(e) for e in done], "failed": {n: str(e) for n, e in failed.items()}},
            json,
        )
    if failed:
        raise SystemExit(max(problem.exit_code for problem in failed.values()))


def _document(exported: Exported) -> dict[str, Any]:
    card = exported.card
    return {
        "model": card.model,
        "precision": card.precision,
        "path": exported.path,
        "bytes": sum((exported.path.parent / name).stat().st_size for name in card.files),
        "seconds": round(exported.seconds, 2),
        "weights": card.weights,
        "licence": card.licence,
        "conversion": card.conversion,
        "parity": card.parity,
        "files": card.files,
    }


def _summary(done: list[Exported]) -> Table:
    table = Table("network", "MB", "weights", "max |d|", "of range", "SRCC", "flips", "verdict", title="Exported")
    for item in done:
        parity = item.parity
        worst = max(parity.max_abs, key=lambda name: parity.max_abs[name] / parity.range[name])
        table.add_row(
            f"{item.card.model} {item.card.precision}",
            f"{_document(item)['bytes'] / 1e6:.1f}",
            str(item.card.weights["kind"]),
            f"{parity.max_abs[worst]:.1e}",
            f"{parity.max_abs[worst] / parity.range[worst]:.1e}",
            f"{parity.score.srcc:.6f}" if parity.score else "-",
            f"{parity.score.flips[0.10]:.1%}" if parity.score else "-",
            "[green]pass[/]" if parity.passed else "[red]fail[/]",
        )
    return table


def _list(json: str | None) -> None:
    from dataclasses import asdict

    from fiqa_runtime.fetch import search_folders

    rows = []
    for spec in MODELS.values():
        here = {
            name: all(any((folder / c.file).is_file() for folder in search_folders()) for c in files)
            for name, files in spec.weights.items()
        }
        rows.append({**asdict(spec), "weights_here": here})
    if json:
        write_json({"models": rows}, json)
        return
    stdout = Console()
    for row in rows:
        table = Table.grid(padding=(0, 2))
        size = f"{row['input']['width'] or '32k'} x {row['input']['height'] or '32k'}"
        table.add_row(
            "task", f"{row['task']}, {row['parameters'] / 1e6:.2f} M parameters, {row['macs'] / 1e9:.2f} GMAC"
        )
        table.add_row("input", f"{size} {row['input']['colour']}, framing {row['input']['framing']}")
        table.add_row("licence", row["licence"])
        table.add_row("source", row["source"])
        for name, files in row["weights"].items():
            state = "here" if row["weights_here"][name] else "not here"
            table.add_row("weights", f"{name} ({state}): {', '.join(f['file'] for f in files)} from {files[0]['page']}")
        for note in row["notes"]:
            table.add_row("note", note)
        stdout.print(f"[bold]{row['name']}[/]")
        stdout.print(table)


def _need_export_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("torch", "onnx", "onnxscript", "onnxruntime", "scipy") if not find_spec(name)]
    if missing:
        raise DependencyError(f"{', '.join(missing)} not installed; pip install 'fiqa-edge[export]'")


def main() -> None:
    """Entry point of ``fiqa-export``."""
    run(app)


if __name__ == "__main__":
    main()

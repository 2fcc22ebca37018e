"""``fiqa-export --list``: shows every network of the zoo, and which of its weights are on this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fiqa_runtime.artefact.weight_files import search_folders
from fiqa_runtime.artefact.zoo import MODELS
from fiqa_runtime.terminal.outputs import write_json
from rich.console import Console
from rich.table import Table


def list_networks(json: str | None) -> None:
    """Print the zoo for people, or as one JSON document to `json`."""
    rows = [_row(name) for name in MODELS]
    if json:
        write_json({"models": rows}, json, "fiqa-export-list.v1")
        return
    console = Console()
    for row in rows:
        console.print(f"[bold]{' or '.join((row['name'], *row['aliases']))}[/]")
        console.print(_table(row))


def _row(name: str) -> dict[str, Any]:
    spec = MODELS[name]
    here = {
        weights: all(any((folder / c.file).is_file() for folder in search_folders()) for c in files)
        for weights, files in spec.weights.items()
    }
    return {**asdict(spec), "weights_here": here}


def _outputs(outputs: tuple[dict[str, Any], ...]) -> str:
    heads = [output["name"] for output in outputs if output["kind"] == "head"]
    return f"{len(heads)} heads" if heads else ", ".join(output["name"] for output in outputs)


def _table(row: dict[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    size = f"{row['input']['width'] or '32k'} x {row['input']['height'] or '32k'}"
    table.add_row("task", f"{row['task']}, {row['parameters'] / 1e6:.2f} M parameters, {row['macs'] / 1e9:.2f} GMAC")
    table.add_row("input", f"{size} {row['input']['colour']}, framing {row['input']['framing']}")
    table.add_row("output", _outputs(row["outputs"]))
    table.add_row("licence", row["licence"])
    table.add_row("source", row["source"])
    for name, files in row["weights"].items():
        state = "here" if row["weights_here"][name] else "not here"
        table.add_row("weights", f"{name} ({state}): {', '.join(f['file'] for f in files)} from {files[0]['page']}")
    for note in row["notes"]:
        table.add_row("note", note)
    return table

"""``fiqa-export --list [MODEL]``: shows the networks of the zoo, and which of their weights are on this machine."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fiqa_runtime.artefact.spec import ModelSpec
from fiqa_runtime.artefact.weight_files import find
from fiqa_runtime.artefact.zoo import GROUPS, MODELS
from fiqa_runtime.networks.registry import find_network, installed_networks
from fiqa_runtime.terminal.console import tell
from fiqa_runtime.terminal.outputs import write_json
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

COMMERCIAL = {"MIT": "yes", "Apache-2.0": "yes", "CC BY 4.0": "yes", "CC BY-NC": "no", "none stated": "unstated"}
"""By the beginning of a licence: whether it allows commercial use."""


def commercial_use(licence: str) -> str:
    """`yes`, `no` or `unstated`: what the licence of the weights says; a non-commercial part makes it `no`.

    A licence that is not known here, as of somebody's own network, is given back as it is.
    """
    if "CC BY-NC" in licence:
        return "no"
    return next((answer for known, answer in COMMERCIAL.items() if licence.startswith(known)), licence)


def list_networks(name: str | None, json: str | None) -> None:
    """Print the zoo as a table, or all about the networks that `name` stands for; or one JSON document to `json`.

    Raises InputError for an unknown name.
    """
    installed, problems = installed_networks()
    known = {**MODELS, **installed}
    names = list(known) if name is None else GROUPS.get(name.lower(), ()) or (find_network(name).name,)
    rows = [_row(known.get(each) or find_network(str(name))) for each in names]
    tell(f"{each} is left out: {problem}" for each, problem in problems.items())
    if json:
        write_json({"models": rows}, json, "fiqa-export-list.v1")
        return
    console = Console()
    if name is None:
        console.print(_overview(rows))
        console.print(
            "fiqa-export --list MODEL says all about one: its licence, source, and where its weights come from"
        )
        return
    for row in rows:
        console.print(f"[bold]{' or '.join((row['name'], *row['aliases']))}[/]")
        console.print(_details(row))


def _row(spec: ModelSpec) -> dict[str, Any]:
    here = {weights: all(find(each) is not None for each in files) for weights, files in spec.weights.items()}
    return {**asdict(spec), "weights_here": here}


def _overview(rows: list[dict[str, Any]]) -> Table:
    titles = ("network", "for", "input", "million\nweights", "GMAC", "commercial\nuse", "here")
    table = Table(*titles, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for column in table.columns:
        column.no_wrap = True
    for row in rows:
        here = [name for name, is_here in row["weights_here"].items() if is_here]
        table.add_row(
            *("\n".join((row["name"], *row["aliases"])), row["task"], _size(row)),
            *(f"{row['parameters'] / 1e6:.2f}", f"{row['macs'] / 1e9:.2f}"),
            *(commercial_use(row["licence"]), ", ".join(here) or "-"),
        )
    return table


def _size(row: dict[str, Any]) -> str:
    width, height = row["input"]["width"], row["input"]["height"]
    return f"{width} x {height}" if width else "any"


def _outputs(outputs: tuple[dict[str, Any], ...]) -> str:
    heads = [output["name"] for output in outputs if output["kind"] == "head"]
    return f"{len(heads)} heads" if heads else ", ".join(output["name"] for output in outputs)


def _details(row: dict[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_row("task", f"{row['task']}, {row['parameters'] / 1e6:.2f} M parameters, {row['macs'] / 1e9:.2f} GMAC")
    table.add_row("input", f"{_size(row)} {row['input']['colour']}, framing {row['input']['framing']}")
    table.add_row("output", _outputs(row["outputs"]))
    table.add_row("licence", row["licence"])
    table.add_row("source", row["source"])
    for name, files in row["weights"].items():
        state = "here" if row["weights_here"][name] else "not here"
        table.add_row("weights", f"{name} ({state}): {', '.join(f['file'] for f in files)} from {files[0]['page']}")
    for note in row["notes"]:
        table.add_row("note", note)
    return table

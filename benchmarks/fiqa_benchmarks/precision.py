"""What each precision costs each network: the table of the README, from the cards of exported artefacts.

fiqa-export all --weights seeded --fp16 --out E && fiqa-export all --weights seeded --int8 --calib seeded --out E
python -m fiqa_benchmarks.precision E/*.fp16.onnx E/*.int8.onnx
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from fiqa_runtime.card import Card, read_card
from fiqa_runtime.console import run
from fiqa_runtime.errors import InputError

app = typer.Typer(add_completion=False)
HEADER = (
    "| network | weights | MB | of fp32 | images | SRCC | flips | max \\|d\\| of range | nodes kept high | verdict |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---|"
)


def row(card: Card, size: int) -> str:
    """One line of the table for an artefact of `size` bytes; raises InputError where its card holds no verdict."""
    parity, conversion = card.parity, card.conversion
    if not parity or "fp32_bytes" not in conversion:
        raise InputError(f"the card of {card.model} {card.precision} holds no verdict; export it with this version")
    score: dict[str, Any] = parity["score"] or {}
    worst = max(parity["max_abs"], key=lambda name: parity["max_abs"][name] / parity["range"][name])
    cells = (
        f"{card.model} {card.precision}",
        card.weights["kind"],
        f"{size / 1e6:.1f}",
        f"{size / conversion['fp32_bytes']:.0%}",
        parity["images"],
        f"{score['srcc']:.5f}" if score else _correlation(parity),
        f"{score['flips']['0.1']:.1%}" if score else "-",
        f"{parity['max_abs'][worst] / parity['range'][worst]:.1e} ({worst})",
        f"{len(conversion['kept_in_fp32'])} of {conversion['nodes']}",
        "pass" if parity["passed"] else "fail",
    )
    return f"| {' | '.join(map(str, cells))} |"


def _correlation(parity: Mapping[str, Any]) -> str:
    """For networks without a score: the smallest correlation of an output."""
    return f"r {min(r for r in parity['correlation'].values() if r is not None):.4f}"


@app.command()
def precision(engines: Annotated[list[Path], typer.Argument(help="fp16 and int8 artefacts.")]) -> None:
    """Print the Markdown table of what a lower precision costs, as each artefact's card has it."""
    lines = []
    for engine in engines:
        card = read_card(engine)
        lines.append(row(card, sum((engine.parent / name).stat().st_size for name in card.files)))
    typer.echo("\n".join([HEADER, *lines]))


if __name__ == "__main__":
    run(app)

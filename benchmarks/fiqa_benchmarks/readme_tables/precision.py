"""Makes the table of docs/evidence/precision.md: what each precision costs each network, from the artefacts' cards.

fiqa-export all --weights seeded --fp16 --target none --out E
fiqa-export all --weights seeded --int8 --calib FACES --target none --out E
python -m fiqa_benchmarks.readme_tables.precision E/*.fp16.onnx E/*.int8.onnx
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from fiqa_runtime.artefact.card import Card, read_card
from fiqa_runtime.artefact.facts import Int8Conversion, Verdict
from fiqa_runtime.artefact.location import find_artefact
from fiqa_runtime.errors import InputError
from fiqa_runtime.terminal.console import run

app = typer.Typer(add_completion=False)
HEADER = (
    "| network | weights | MB | int8 MACs | images | SRCC | flips | r | max \\|d\\| | faces | fp32 nodes | verdict |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|---:|---|---:|---|"
)
NONE = "-"


def row(card: Card, size: int) -> str:
    """One line of the table for an artefact of `size` bytes; raises InputError where its card holds no verdict."""
    parity, conversion = card.parity, card.conversion
    if not parity.images or conversion is None:
        raise InputError(f"the card of {card.model} {card.precision} holds no verdict; export it with this version")
    score = parity.score
    int8 = conversion if isinstance(conversion, Int8Conversion) else None
    cells = (
        f"{card.model} {card.precision}",
        card.weights.kind,
        f"{size / 1e6:.1f} ({size / conversion.fp32_bytes:.0%})",
        f"{int8.mac_share:.0%}" if int8 else NONE,
        f"{int8.images if int8 else NONE} / {parity.images}",
        f"{score.srcc:.5f}" if score else NONE,
        f"{score.flips['0.1']:.1%}" if score else NONE,
        _correlation(parity),
        _largest_difference(parity),
        _faces(parity),
        f"{len(conversion.kept_in_fp32)} of {conversion.nodes}",
        "pass" if parity.passed else "fail",
    )
    return f"| {' | '.join(map(str, cells))} |"


def _correlation(parity: Verdict) -> str:
    """The smallest of an output other than the score, over images."""
    correlations = [r for r in parity.correlation.values() if r is not None]
    return f"{min(correlations):.4f}" if correlations else NONE


def _largest_difference(parity: Verdict) -> str:
    shares = {name: d / parity.range[name] for name, d in parity.max_abs.items() if d is not None}
    if len(shares) < len(parity.max_abs):
        return "not finite"
    worst = max(shares, key=lambda name: shares[name])
    return f"{shares[worst]:.1e} ({worst})"


def _faces(parity: Verdict) -> str:
    faces = parity.faces
    if not faces:
        return NONE
    changed = "".join(f", {count} {what}" for what, count in (("lost", faces.lost), ("new", faces.new)) if count)
    return f"{faces.found}{changed}, IoU {faces.iou:.2f}, \\|d\\| {faces.score:.3f}"


@app.command()
def precision(engines: Annotated[list[Path], typer.Argument(help="fp16 and int8 artefacts.")]) -> None:
    """Print the Markdown table of what a lower precision costs, as each artefact's card has it."""
    lines = []
    for engine in map(find_artefact, engines):
        card = read_card(engine)
        lines.append(row(card, sum((engine.parent / name).stat().st_size for name in card.files)))
    typer.echo("\n".join([HEADER, *lines]))


if __name__ == "__main__":
    run(app)

"""Makes the table of docs/evidence/backends.md: which artefact runs on which backend, and how far it is from torch.

    python -m fiqa_benchmarks.readme_tables.backends engines/*.onnx

Every artefact re-scores its canaries (:mod:`fiqa_runtime.scoring.selftest`) on every installed backend, each in a
process of its own, so that a backend that crashes on a graph does not end the run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from fiqa_runtime.artefact.location import find_artefact
from fiqa_runtime.backends import available
from fiqa_runtime.system.child import run_module
from fiqa_runtime.terminal.console import progress_bar, run

app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Support:
    """The result of one artefact on one backend."""

    passed: bool
    text: str
    """Largest difference to torch over all outputs, or why it does not run."""


def self_test_in_a_process(engine: Path, backend: str) -> Support:
    """Re-score the canaries of `engine` on `backend`; never raises, whatever the backend does."""
    options = ("--self-test", "--engine", str(engine), "--backend", backend, "--json", "-")
    result = run_module("fiqa_runtime.cli", *options)
    if result.returncode in (0, 3):
        document = json.loads(result.stdout)
        return Support(document["passed"], f"{max(document['max_abs'].values()):.0e}")
    if result.returncode < 0:
        return Support(False, f"crashes (signal {-result.returncode})")
    return Support(False, result.stderr.strip().removeprefix("error: "))


def markdown(rows: dict[str, dict[str, Support]]) -> str:
    """Rows of artefact -> backend -> outcome as a Markdown table."""
    backends = list(next(iter(rows.values())))
    lines = [f"| largest difference to torch | {' | '.join(backends)} |", "|---" * (len(backends) + 1) + "|"]
    for name, cells in rows.items():
        texts = ((cell.text if cell.passed else f"no: {cell.text}").replace("|", "\\|") for cell in cells.values())
        lines.append(f"| `{name}` | {' | '.join(texts)} |")
    return "\n".join(lines)


@app.command()
def support(engines: Annotated[list[Path], typer.Argument(help="Exported ONNX artefacts.")]) -> None:
    """Re-score the canaries of every artefact on every installed backend and print a Markdown table."""
    artefacts = list(map(find_artefact, engines))
    names = available()
    rows: dict[str, dict[str, Support]] = {}
    with progress_bar() as report:
        for done, engine in enumerate(artefacts):
            report("self-test", done, len(artefacts))
            rows[engine.name] = {name: self_test_in_a_process(engine, name) for name in names}
    typer.echo(markdown(rows))


if __name__ == "__main__":
    run(app)

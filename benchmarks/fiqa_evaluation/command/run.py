"""``fiqa-eval run``: a plan of sets, recognisers and quality networks -> tables and one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from fiqa_runtime.errors import InputError
from fiqa_runtime.system.host import limit_opencv
from fiqa_runtime.terminal.common_options import Quiet, Verbose, panel
from fiqa_runtime.terminal.console import detail, progress_bar, tell
from fiqa_runtime.terminal.outputs import check_outputs
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fiqa_evaluation.command.results import Results
from fiqa_evaluation.page.findings import findings
from fiqa_evaluation.page.warnings import warnings
from fiqa_evaluation.plan.plan_file import read_plan
from fiqa_evaluation.plan.run_plan import run_plan

SCHEMA = "fiqa-eval-run.v1"
EXAMPLE = "Example: fiqa-eval run plan.toml"
_where = panel("Where it goes")


def run(
    plan: Annotated[Path, typer.Argument(metavar="PLAN.toml", help="Sets, recognisers, quality networks, settings.")],
    out: Annotated[Path | None, _where(help="Folder for everything; default: beside the plan, with its name.")] = None,
    json: Annotated[str | None, _where(help="Write one JSON document to FILE, or '-' for stdout.")] = None,
    html: Annotated[Path | None, _where(help="The page; default: report.html in the folder.")] = None,
    figure: Annotated[Path | None, _where(help="Write the curves as .pdf, .svg or .png, for a paper.")] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run a whole evaluation: prepare, embed, score, curves, opinions, distributions, and one page.

    Results are kept by the content that they were made of. A run that was cut goes on where it stopped, and a changed
    engine, set or setting repeats its part only.

    Exit code 0: done. 2: bad input.
    """
    wanted = read_plan(plan)
    limit_opencv(wanted.run.threads)
    folder = out or plan.absolute().parent / plan.stem
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; choose another folder with --out")
    results = Results(json, html or folder / "report.html", figure)
    check_outputs(results.files(), [("PLAN.toml", plan)])
    results.check_installed()
    with progress_bar() as report:
        document, steps = run_plan(wanted, plan.absolute().parent, folder, report)
    for name in steps.made:
        detail(f"made {name}")
    tell([f"{len(steps.made)} steps made, {len(steps.kept)} kept from an earlier run"])
    show(results.console, document)
    results.write(document, SCHEMA, wanted.title, document)


def show(console: Console, document: dict[str, object]) -> None:
    """Print the table of all combinations, what was found, and what is to be known."""
    rows = document["overview"]
    if isinstance(rows, list) and rows:
        table = Table(title=escape(str(document["title"])), title_justify="left")
        for title in rows[0]:
            table.add_column(title, overflow="fold")
        for row in rows:
            table.add_row(*(escape(str(cell)) for cell in row.values()))
        console.print(table)
    for line in findings(document):
        console.print(escape(line), highlight=False, soft_wrap=True)
    for line in warnings(document):
        console.print(f"[yellow]{escape(line)}[/]", highlight=False, soft_wrap=True)

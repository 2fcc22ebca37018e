"""Options that another one makes useless: what counts as typed, and how each table is read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer
from fiqa_runtime.errors import InputError
from fiqa_runtime.terminal.options import refuse_all_but, refuse_ignored, refuse_parts_alone, typed_options

app = typer.Typer(add_completion=False)
found: list[str] = []


@app.command()
def command(
    context: typer.Context,
    paths: Annotated[list[Path] | None, typer.Argument(metavar="PATH...")] = None,
    streams: int = 1,
    out: Path = Path("engines"),
    explain: Annotated[bool, typer.Option("--explain")] = False,
    csv: Path | None = None,
) -> None:
    found[:] = typed_options(context)


@pytest.mark.parametrize(
    ("arguments", "typed"),
    [
        ([], []),
        (["a.png", "b.png"], ["PATH"]),
        (["--csv", "s.csv", "a.png", "--explain"], ["PATH", "--explain", "--csv"]),
        (["--streams", "1", "--out", "engines"], []),
        (["--streams", "2", "--out", "other"], ["--streams", "--out"]),
    ],
)
def test_typed_options(monkeypatch: pytest.MonkeyPatch, arguments: list[str], typed: list[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    with pytest.raises(SystemExit) as ended:
        app()
    assert ended.value.code == 0
    assert found == typed


def test_tables() -> None:
    refuse_ignored(["--csv", "PATH"], {"--explain": ["--csv"]})
    with pytest.raises(InputError, match=r"^--explain makes no use of --csv; leave it out$"):
        refuse_ignored(["PATH", "--explain", "--csv"], {"--explain": ["--csv"]})
    refuse_all_but(["--explain", "--json"], {"--explain": ["--json"]})
    with pytest.raises(InputError, match=r"^--explain makes no use of PATH and --csv; leave them out$"):
        refuse_all_but(["PATH", "--explain", "--csv", "--json"], {"--explain": ["--json"]})
    refuse_parts_alone(["--mos", "--cache"], {"--mos": ["--cache"]})
    with pytest.raises(InputError, match=r"^--cache is a part of --mos; add --mos or leave it out$"):
        refuse_parts_alone(["--cache"], {"--mos": ["--cache"]})

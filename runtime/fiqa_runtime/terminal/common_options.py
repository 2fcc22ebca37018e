"""Options that every command has: its version, and how much it tells; and what several say in the same words."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

from fiqa_runtime.system.host import installed_versions
from fiqa_runtime.terminal.console import set_voice

ENGINE_HELP = (
    "Artefact to score with; a bare name is also looked for in engines/. Default: the only one there, else FIQA_ENGINE."
)


def panel(title: str) -> Callable[..., Any]:
    """``typer.Option`` for an option that the help shows in the panel `title`."""
    return partial(typer.Option, rich_help_panel=title)


_own = panel("About the command")


def _show_version(asked: bool) -> None:
    if asked:
        version = installed_versions(["fiqa-edge"]).get("fiqa-edge", "(not installed)")
        sys.stdout.write(f"fiqa-edge {version}, Python {platform.python_version()}\n")
        raise typer.Exit


def _be_quiet(quiet: bool) -> None:
    if quiet:
        set_voice(quiet=True)


def _be_verbose(verbose: bool) -> None:
    if verbose:
        set_voice(verbose=True)


Version = Annotated[
    bool,
    _own("--version", callback=_show_version, is_eager=True, help="Print the version and end."),
]
Quiet = Annotated[
    bool,
    _own("--quiet", "-q", callback=_be_quiet, help="Tell nothing but results and errors."),
]
Verbose = Annotated[
    bool,
    _own("--verbose", "-v", callback=_be_verbose, help="Tell what is used, and from where."),
]

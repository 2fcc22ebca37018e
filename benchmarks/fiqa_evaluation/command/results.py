"""Where results of the subcommands go: tables to the console, one JSON document, a figure, a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.system.files import NamedFile
from fiqa_runtime.terminal.console import tell
from fiqa_runtime.terminal.outputs import write_json
from rich.console import Console

TABLE_WIDTH = 120
FIGURES = (".pdf", ".svg", ".png")


@dataclass(frozen=True)
class Results:
    """Where a subcommand writes what it found."""

    json: str | None = None
    """A file, or `-` for stdout."""
    html: Path | None = None
    figure: Path | None = None

    @cached_property
    def console(self) -> Console:
        """Where tables go: stdout, or stderr where that holds the document."""
        console = Console(stderr=self.json == "-")
        if not console.is_terminal:
            console.width = TABLE_WIDTH
        return console

    def files(self) -> list[NamedFile]:
        """What is written, by option; raises InputError for a figure of an unknown kind."""
        if self.figure is not None and self.figure.suffix.lower() not in FIGURES:
            raise InputError(f"the format of {self.figure} is not known; end the name in {', '.join(FIGURES)}")
        return [("--json", self.json), ("--html", self.html), ("--figure", self.figure)]

    def check_installed(self) -> None:
        """Raise DependencyError where a package that draws is not installed; called before the work."""
        needed = [("--html", "jinja2"), ("--html", "matplotlib")] * bool(self.html)
        needed += [("--figure", "matplotlib")] * bool(self.figure)
        for option, package in needed:
            if not find_spec(package):
                raise DependencyError(f"{option} needs {package}; pip install 'fiqa-edge[bench]'")

    def write(self, document: Mapping[str, Any], schema: str, title: str, page: Mapping[str, Any]) -> None:
        """Write the document of `schema`; and `page`, its sections as the page takes them, under a `title`."""
        if self.json:
            write_json(document, self.json, schema)
        if self.figure:
            from fiqa_evaluation.page.figures import write_figure

            write_figure(page, self.figure)
        if self.html:
            from fiqa_evaluation.page.page import write_page

            write_page({"title": title, "versions": document.get("versions"), **page}, self.html)
        places = [place for place in (self.json, self.figure, self.html) if place and place != "-"]
        tell(f"wrote {place}" for place in places)


def numbers(option: str, text: str) -> tuple[float, ...]:
    """The numbers of a list that is separated by commas; raises InputError where one is not finite."""
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or not all(map(math.isfinite, found)):
        raise InputError(f"{option} '{text}' is not a list of numbers; write them as in {option} 0.2,0.3")
    return found


def words(text: str | None) -> Sequence[str]:
    """The parts of a list that is separated by commas."""
    return tuple(part.strip() for part in text.split(",")) if text else ()

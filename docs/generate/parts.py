"""The parts of pages that come from the code: between `<!-- generate: KIND ARGUMENT -->` and `<!-- generated -->`.

They are kept in the pages, so that they can be read where the site is not built; `make docs` writes them anew.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from fiqa_runtime.command.results import COLUMNS

from docs.generate.commands import command_reference
from docs.generate.documents import DOCUMENTS
from docs.generate.fields import field_tables
from docs.generate.networks import network_facts, network_table
from docs.generate.schemas import schema_list

PAGES = Path(__file__).parents[1]
END = "<!-- generated -->"
MARKER = re.compile(rf"^(<!-- generate: (\S+) ?(\S*) -->)$.*?^{END}$", re.MULTILINE | re.DOTALL)

GENERATORS: dict[str, Callable[[str], str]] = {
    "command": command_reference,
    "network": network_facts,
    "networks": lambda _: network_table(),
    "card": lambda _: field_tables(DOCUMENTS["card"].kind),
    "document": lambda name: field_tables(DOCUMENTS[name].kind),
    "schemas": lambda _: schema_list(),
    "csv": lambda _: ", ".join(f"`{column}`" for column in COLUMNS) + ".",
}
"""By the first word of a marker: what makes the text from the second word."""


def fill(page: str) -> str:
    """The text `page` with every part as the code has it; raises KeyError for one that nothing generates."""
    return MARKER.sub(lambda found: f"{found[1]}\n\n{GENERATORS[found[2]](found[3])}\n\n{END}", page)


def fill_pages() -> None:
    """Write every page that is out of date."""
    for path in sorted(PAGES.rglob("*.md")):
        text = path.read_text("utf-8")
        if (filled := fill(text)) != text:
            path.write_text(filled, "utf-8")

"""MkDocs calls this for every page: lines `<!-- generate: KIND ARGUMENT -->` become what the code says."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from docs.generate.commands import command_reference
from docs.generate.documents import DOCUMENTS
from docs.generate.fields import field_tables
from docs.generate.networks import network_facts, network_table
from docs.generate.schemas import schema_list

MARKER = re.compile(r"^<!-- generate: (\S+) ?(\S*) -->$", re.MULTILINE)

GENERATORS: dict[str, Callable[[str], str]] = {
    "command": command_reference,
    "network": network_facts,
    "networks": lambda _: network_table(),
    "card": lambda _: field_tables(DOCUMENTS["card"].kind),
    "document": lambda name: field_tables(DOCUMENTS[name].kind),
    "schemas": lambda _: schema_list(),
}
"""By the first word of a marker: what makes the text from the second word."""


def fill(markdown: str) -> str:
    """`markdown` with every marker replaced; raises KeyError for a marker that nothing generates."""
    return MARKER.sub(lambda found: GENERATORS[found[1]](found[2]), markdown)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """What MkDocs calls."""
    return fill(markdown)

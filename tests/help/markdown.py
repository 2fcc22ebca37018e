"""Code blocks of Markdown pages."""

from __future__ import annotations

import re


def code_blocks(text: str, *languages: str) -> list[str]:
    """The fenced blocks of `text` in one of `languages`; an empty language is a block that names none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for language, block in found if language in languages]

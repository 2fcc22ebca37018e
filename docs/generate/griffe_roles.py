"""Docstrings are written with Sphinx's roles; on the site `:class:` and its kin become code in the text."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|data|meth|mod|attr):`~?([^`]+)`")


class Roles(griffe.Extension):
    """Writes each role as the last part of the name that it refers to, and a docstring's indented code as a block."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """What Griffe calls for each object with a docstring."""
        if obj.docstring:
            obj.docstring.value = ROLE.sub(lambda found: f"`{found[1].rsplit('.', 1)[-1]}`", obj.docstring.value)

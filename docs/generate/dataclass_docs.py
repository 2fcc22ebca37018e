"""Dataclasses as data: each field with its type and the text that stands below it in the source."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from dataclasses import dataclass
from functools import cache
from typing import Any, get_type_hints


@dataclass(frozen=True)
class Field:
    """One field of a dataclass."""

    name: str
    kind: Any
    """Its type."""
    text: str
    """What the source says about it; empty where that is nothing."""
    required: bool
    """Whether it has no default."""


@cache
def fields_of(kind: type) -> tuple[Field, ...]:
    """The fields of the dataclass `kind`, those that it inherits too."""
    hints, texts = get_type_hints(kind, include_extras=True), _texts(kind)
    return tuple(
        Field(
            field.name,
            hints[field.name],
            texts.get(field.name, ""),
            field.default is field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
    )


def summary(kind: type) -> str:
    """The docstring of `kind`, on one line."""
    return " ".join((inspect.getdoc(kind) or "").split())


def _texts(kind: type) -> dict[str, str]:
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if dataclasses.is_dataclass(base):
            texts |= _own_texts(base)
    return texts


def _own_texts(kind: type) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    texts = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            text = ast.literal_eval(below.value)
            texts[field.target.id] = " ".join(str(text).split())
    return texts

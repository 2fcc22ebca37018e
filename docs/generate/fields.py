"""The fields of a dataclass and of those inside it, as Markdown tables."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from docs.generate.dataclass_docs import fields_of, summary
from docs.generate.markdown import table

WORDS = {str: "text", bool: "true or false", int: "whole number", float: "number", type(None): "null", Any: "anything"}


def field_tables(kind: type) -> str:
    """A table for `kind`, then one for each dataclass inside it, each once."""
    kinds = list(dict.fromkeys(_inside(kind, ())))
    return "\n\n".join(f"### {each.__name__}\n\n{summary(each)}\n\n{_table(each)}" for each in kinds)


def _table(kind: type) -> str:
    rows = [(f"`{field.name}`", in_words(field.kind), field.text) for field in fields_of(kind)]
    return table(("entry", "value", "meaning"), rows)


def _inside(kind: Any, seen: tuple[type, ...]) -> Iterator[type]:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if kind in seen:
            return
        yield kind
        for field in fields_of(kind):
            yield from _inside(field.kind, (*seen, kind))
    for argument in get_args(kind):
        yield from _inside(argument, seen)


def in_words(kind: Any) -> str:
    """A type, for people."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(map(in_words, arguments))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (tuple, list):
        if len(arguments) == 1 or arguments[-1] is Ellipsis:
            return f"list of {in_words(arguments[0])}"
        return f"[{', '.join(map(in_words, arguments))}]"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"table of {in_words(arguments[1])}"
    return WORDS[kind] if kind in WORDS else f"[{kind.__name__}](#{kind.__name__.lower()})"

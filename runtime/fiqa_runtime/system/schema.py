"""Plain data from a JSON file -> frozen dataclasses, each value checked against the type that its field declares.

The dataclasses are the schema: `from_plain(Card, json.loads(text))`. Bounds that a type cannot say stand in a
dataclass's ``__post_init__``, which raises ValueError.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def from_plain(kind: type[T], data: object, where: str = "") -> T:
    """`data`, as :func:`json.loads` gives it, as an instance of the dataclass `kind`.

    Raises ValueError, whose message names the field, where a value has another type than its field, where a number is
    not finite, where a field is missing or where there is one that `kind` does not know.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{where or 'the document'} is not a table")
    known = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = [name for name in data if name not in known]
    if unknown:
        raise ValueError(f"{_inside(where, str(unknown[0]))} is not known")
    hints = get_type_hints(kind)
    values = {name: _value(hints[name], value, _inside(where, name)) for name, value in data.items()}
    for name, field in known.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{_inside(where, name)} is missing")
    return kind(**values)


def check_bounds(what: str, value: float | None, smallest: float, largest: float) -> None:
    """Raise ValueError unless `value` is None or lies from `smallest` to `largest`."""
    if value is not None and not smallest <= value <= largest:
        raise ValueError(f"{what} is {value}, not {smallest:g} to {largest:g}")


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _value(kind: Any, value: object, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, where)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{where} is {value!r}, not one of {', '.join(map(str, arguments))}")
        return value
    if origin is tuple:
        return _tuple(arguments, value, where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise ValueError(f"{where} is not a table")
        return {key: _value(arguments[1], item, _inside(where, key)) for key, item in value.items()}
    if dataclasses.is_dataclass(kind):
        return from_plain(kind, value, where)  # type: ignore[arg-type]
    if not _SCALARS[kind](value):
        raise ValueError(f"{where} is {_short(value)}, not {_WORDS[kind]}")
    return value


def _one_of(kinds: tuple[Any, ...], value: object, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    first, *others = (kind for kind in kinds if kind is not type(None))
    for kind in others:
        with suppress(ValueError):
            return _value(kind, value, where)
    return _value(first, value, where)


def _tuple(kinds: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise ValueError(f"{where} is not a list")
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise ValueError(f"{where} has {len(value)} entries, not {len(kinds)}")
    return tuple(
        _value(kind, item, f"{where}[{index}]") for index, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_SCALARS: dict[Any, Callable[[object], bool]] = {
    str: lambda value: isinstance(value, str),
    bool: lambda value: isinstance(value, bool),
    int: lambda value: isinstance(value, int) and not isinstance(value, bool),
    float: _is_number,
}
_WORDS: dict[Any, str] = {str: "text", bool: "true or false", int: "a whole number", float: "a finite number"}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

"""Options that another option makes useless are refused, so that nobody believes that they had an effect.

Each command keeps its tables as data. A table names, for one option, the options that it ignores, or the only ones
that it uses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fiqa_runtime.errors import InputError

if TYPE_CHECKING:
    import typer

COMMON = ("--version", "--quiet", "--verbose")
"""Options of every command; no other option makes them useless."""
Table = Mapping[str, Collection[str]]
"""Names of options, by the name of one option."""


def typed_options(context: typer.Context) -> list[str]:
    """Names of the options (`--csv`) and arguments (`PATH`) that were typed, in the order of the help.

    An option that was typed with its default value is left out: it changes nothing. So are the options of every
    command.
    """
    typed = []
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        value = context.params.get(parameter.name or "")
        if source and source.name == "COMMANDLINE" and value != parameter.get_default(context):
            typed.append(_shown_name(parameter))
    return [name for name in typed if name not in COMMON]


def _shown_name(parameter: Any) -> str:
    """What the help calls an option or an argument."""
    if parameter.param_type_name == "option":
        return str(parameter.opts[0])
    return str(parameter.metavar or parameter.name.upper()).rstrip(".")


def refuse_unused(what: str, options: Iterable[str]) -> None:
    """Raise InputError where there are any `options`, because `what` would ignore them."""
    lost = list(options)
    if lost:
        raise InputError(f"{what} makes no use of {' and '.join(lost)}; leave {'it' if len(lost) == 1 else 'them'} out")


def refuse_ignored(typed: Collection[str], ignores: Table) -> None:
    """Raise InputError where one of the options `typed` ignores another one, as the table `ignores` says."""
    for option, ignored in ignores.items():
        if option in typed:
            refuse_unused(option, [name for name in typed if name in ignored])


def refuse_all_but(typed: Collection[str], uses: Table) -> None:
    """Raise InputError where one of the options `typed` ignores another one; `uses` lists all that it does not
    ignore."""
    for option, used in uses.items():
        if option in typed:
            refuse_unused(option, [name for name in typed if name != option and name not in used])


def refuse_parts_alone(typed: Collection[str], parts: Table) -> None:
    """Raise InputError where a part of an option was `typed` without it; `parts` lists the parts of each option."""
    for option, names in parts.items():
        alone = [name for name in typed if name in names]
        if alone and option not in typed:
            raise InputError(f"{alone[0]} is a part of {option}; add {option} or leave it out")

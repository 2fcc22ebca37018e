"""The reference of a command, from its Typer application: what `--help` knows, as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from typer.main import get_command

from docs.generate.markdown import table

COMMANDS = {
    "fiqa-score": "fiqa_runtime.cli",
    "fiqa-watch": "fiqa_runtime.watch_cli",
    "fiqa-serve": "fiqa_runtime.serve_cli",
    "fiqa-export": "fiqa_export.cli",
    "fiqa-bench": "fiqa_benchmarks.cli",
    "fiqa-eval": "fiqa_evaluation.cli",
}
"""By command: the module that holds its Typer application as `app`."""
VALUES = {str(Path): "PATH", str(int): "N", str(float): "X", str(list[Path]): "PATH"}
"""By the type of an option's value: what stands for it where the option says nothing else."""
OPTION = re.compile(r"(?<![\w`-])(--[a-z][a-z0-9-]*)")
"""An option in running text."""
PANEL = "Options"
"""Title of the options that stand in no panel."""


def subcommands(name: str) -> dict[str, Any]:
    """The subcommands of a command by name, in the order of its help; one without has itself, under an empty name."""
    command: Any = get_command(import_module(COMMANDS[name]).app)
    return dict(getattr(command, "commands", {"": command}))


def command_reference(name: str) -> str:
    """Description, then a table of the options of each panel, in the order of the help; for each subcommand."""
    found = subcommands(name)
    if list(found) == [""]:
        return "\n\n".join(_parts(found[""], "##"))
    whole: Any = get_command(import_module(COMMANDS[name]).app)
    parts = [*_description(str(whole.help))]
    for part, command in found.items():
        parts += [f"## {name} {part}", *_parts(command, "###", f"{part}: ")]
    return "\n\n".join(parts)


def _parts(command: Any, heading: str, before: str = "") -> Iterator[str]:
    """Description and tables of one command; `before` stands in front of the titles of panels, which must be unique."""
    yield from _description(str(command.help))
    panels: dict[str, list[tuple[str, str, str]]] = {}
    for parameter in sorted(command.params, key=lambda each: each.param_type_name != "argument"):
        if not getattr(parameter, "hidden", False):
            panels.setdefault(_panel(parameter), []).append((_names(parameter), _default(parameter), _help(parameter)))
    for panel, rows in panels.items():
        title = before + (panel[:1].lower() + panel[1:] if before else panel)
        yield f"{heading} {title}\n\n{table(('option', 'default', 'what it does'), rows)}"


def _description(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text.replace("\b", "").strip()):
        lines = paragraph.splitlines()
        if all(line.startswith(("    ", "$ ")) for line in lines):
            yield "\n".join(("```", *(line.strip() for line in lines), "```"))
        else:
            yield OPTION.sub(r"`\1`", " ".join(line.strip() for line in lines))


def _panel(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return getattr(parameter, "rich_help_panel", None) or "Arguments"
    return getattr(parameter, "rich_help_panel", None) or PANEL


def _names(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or str(parameter.name).upper()}`"
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    if parameter.is_flag or parameter.count:
        return names
    kind = parameter.metavar or VALUES.get(str(parameter.type_descriptor.annotation), "TEXT")
    return f"{names} `{kind}`"


def _default(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return ""
    value = parameter.default
    return f"`{value}`" if value is not None and not parameter.is_flag and not callable(value) else ""


def _help(parameter: Any) -> str:
    return OPTION.sub(r"`\1`", str(getattr(parameter, "help", "") or ""))

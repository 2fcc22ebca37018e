"""``fiqa-export --inspect FILE``: what is in a checkpoint or ONNX file, and a first network file for it."""

from __future__ import annotations

import sys
from pathlib import Path

from fiqa_runtime.errors import InputError
from fiqa_runtime.system.files import write_text
from fiqa_runtime.terminal.console import tell

from fiqa_export.own.inspect import inspect_file


def inspect(path: Path) -> None:
    """Print what is in `path`, and write a network file with questions to the working folder, unless it is there.

    Raises InputError where there is no file, and what reading it raises.
    """
    if not path.is_file():
        raise InputError(f"there is no file {path}; check the spelling")
    found = inspect_file(path)
    sys.stdout.writelines(f"{line}\n" for line in found.lines)
    name = found.network.split('name = "', 1)[1].split('"', 1)[0]
    target = Path(f"{name}.toml")
    if target.exists():
        tell([f"{target} is there already and was left alone"])
        return
    write_text(target, found.network)
    tell([f"wrote {target}; lines with a question mark are guesses"])

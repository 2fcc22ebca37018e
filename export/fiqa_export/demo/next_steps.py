"""Commands that work as they are printed, with what the demo has written."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Command:
    """A line to type."""

    words: tuple[str, ...]
    what: str
    """What it does, for people."""

    @property
    def line(self) -> str:
        """As typed in a shell, in the folder in which the demo ran."""
        return shlex.join(self.words)


def commands_to_try(engine: Path, photos: Path, out: Path) -> list[Command]:
    """Three commands over the demo's artefact and photos; what they write goes to `out`."""
    detector = () if not (engine.parent / "mtcnn-p.fp32.onnx").is_file() else ("--detector", "mtcnn")
    score, bench = (_script(name) for name in ("fiqa-score", "fiqa-bench"))
    return [
        Command(
            (score, str(photos), "--engine", str(engine), *detector, "--overlay", str(out / "scored")),
            "scores every face of a folder and draws it; put your own photos there",
        ),
        Command((score, "--self-test", "--engine", str(engine)), "asks whether this device computes the right scores"),
        Command(
            (bench, "--engine", str(engine), "--batch", "1,8", "--html", str(out / "bench.html")),
            "measures how fast it is here, and writes a report",
        ),
    ]


def _script(name: str) -> str:
    """A command of ours beside the running Python, relative to the working folder where it lies there."""
    script = Path(sys.executable).parent / name
    if not script.is_file():
        return name
    return str(script.relative_to(Path.cwd())) if script.is_relative_to(Path.cwd()) else str(script)

"""Run a command of ours in this process, as a shell would see it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    def is_one_line(self, *parts: str) -> bool:
        """Exit code 2, nothing on stdout, one line on stderr that holds every one of `parts`."""
        text = self.err.strip()
        return self.code == 2 and not self.out and "\n" not in text and all(part in text for part in parts)

    def ends_in(self, *parts: str) -> bool:
        """Exit code 2, and a last line on stderr that holds every one of `parts`; others say what was done."""
        return self.code == 2 and all(part in self.err.strip().splitlines()[-1] for part in parts)


Invoke = Callable[..., Outcome]


def invoker(main: Callable[[], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """A function that runs `main` with the given arguments."""

    def invoke(*arguments: object) -> Outcome:
        monkeypatch.setattr("sys.argv", ["command", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return invoke

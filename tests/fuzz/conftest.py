"""What cases are made from, and the figures at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.damage import CASES, OUTCOMES


@pytest.fixture(autouse=True)
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, where a planted module would leave a mark if it were imported."""
    mark = tmp_path / "executed"
    folder = tmp_path / "working"
    folder.mkdir()
    for name in ("json", "numpy", "fiqa_runtime", "site", "torch", "pickle"):
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    monkeypatch.chdir(folder)
    return mark


@pytest.fixture(autouse=True)
def nothing_is_executed(planted: Path) -> object:
    """No case runs code of its file, or of the working folder."""
    yield
    assert not planted.exists()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if CASES and OUTCOMES:
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(OUTCOMES.items()))
        terminalreporter.write_line(f"fuzz: {OUTCOMES.total():,} cases: {told}")

"""The table of which artefact runs on which backend."""

from __future__ import annotations

from pathlib import Path

import pytest
from fiqa_benchmarks.readme_tables import backends
from fiqa_benchmarks.readme_tables.backends import Support
from fiqa_runtime.terminal.console import run

from tests.help.commands import invoker


def test_two_files_of_a_network_have_a_row_each_and_bars_stay_in_their_cell(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    answer = Support(False, "axes a|b; use another")
    monkeypatch.setattr(backends, "self_test_in_a_process", lambda engine, backend: answer)
    monkeypatch.setattr(backends, "available", lambda: ["opencv"])
    engines = [tmp_path / name for name in ("net.fp32.onnx", "other.fp32.onnx")]
    command = invoker(lambda: run(backends.app), capsys, monkeypatch)
    assert command(*engines).is_one_line("no artefact at")
    for engine in engines:
        engine.touch()
    result = command(*engines)
    assert result.code == 0, result.err
    assert result.out.splitlines()[2:] == [f"| `{engine.name}` | no: axes a\\|b; use another |" for engine in engines]

"""`--html` of fiqa-bench: every mode that has a document writes its page."""

from __future__ import annotations

from pathlib import Path

import fiqa_benchmarks.cli
import pytest
from commands import Invoke, invoker

GOLDEN = Path(__file__).parent / "golden/erc"


@pytest.fixture()
def bench(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    return invoker(fiqa_benchmarks.cli.main, capsys, monkeypatch)


def test_latency_page(bench: Invoke, seeded_engine: Path, tmp_path: Path) -> None:
    page = tmp_path / "new/report.html"
    result = bench("--engine", seeded_engine, "--against", "opencv", "--rounds", "1", "--html", page)
    assert result.code == 0, result.err
    text = page.read_text()
    assert text.count("<svg") >= 3
    assert "ediffiqa-t.fp32.onnx" in text
    assert "http://" not in text.replace("http://www.w3.org/", "")


def test_page_cannot_be_written(bench: Invoke, seeded_engine: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = bench("--engine", seeded_engine, "--rounds", "1", "--html", tmp_path / "file/report.html")
    assert result.is_one_line("choose a folder")

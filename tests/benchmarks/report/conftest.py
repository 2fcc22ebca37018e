"""Fixtures for the report: a document with every section, and the page that is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fiqa_benchmarks.report.page import write_report

from tests.help.samples.report_samples import sample_document


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """A report document with every section."""
    return sample_document()


@pytest.fixture(scope="module")
def report(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that is made of `document`."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(document, path)
    return path

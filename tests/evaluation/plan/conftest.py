"""A plan that was run once, for the tests of its numbers and of its page."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import pytest

from tests.help.evaluation.plan_sample import Workshop, run, write_material


@pytest.fixture(scope="session")
def workshop(seeded_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Everything that the plan names, and what a first run gave."""
    folder: Path = tmp_path_factory.mktemp("plan")
    write_material(folder, seeded_engine)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        run(folder, "--figure", folder / "curves.pdf")
    return Workshop(folder, out.getvalue(), err.getvalue())

"""Where things lie in the repository."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
STANDIN_FOLDER = ROOT / "weights" / "standin"
EXAMPLES = ROOT / "examples"
STUB_LIBCUDA = Path(__file__).with_name("gpu") / "stub_libcuda.c"

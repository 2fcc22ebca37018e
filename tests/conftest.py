"""Fixtures that every test file shares: golden numbers, and folders of real files outside the repository."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Any]:
    """Loader of one golden document by its path without suffix: `golden("ifqa.state")`."""
    return lambda name: json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def images_dir() -> Path:
    """Folder with the pictures that the goldens name."""
    return _folder("FIQA_IMAGES_DIR", "pictures")


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """Folder with official checkpoints."""
    return _folder("FIQA_WEIGHTS_DIR", "official checkpoints")


def _folder(variable: str, what: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"set {variable} to the folder with the {what}")
    return Path(value)


@pytest.fixture(scope="session")
def seeded_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """eDifFIQA(T) under seeded weights as fiqa-export writes it: ONNX and card, in a folder of their own."""
    from fiqa_export.pipeline import export

    return export("ediffiqa-t", "seeded", tmp_path_factory.mktemp("engines")).path

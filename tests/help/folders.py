"""Folders for what is too large to lie until the end of the run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def brief_folder(factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """A folder that goes when its user is done, or fails."""
    folder = factory.mktemp(name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)

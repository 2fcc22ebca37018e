"""The scripts that made the stand-in weights: files beside them, outside every package."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

import pytest

from tests.help.places import STANDIN_FOLDER


def standin_script(name: str) -> ModuleType:
    """The script `train`, `heldout` or `samples`; the three import each other by their bare names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STANDIN_FOLDER))
        return import_module(name)

"""Puts the tests into another order, to find one that needs what another left behind: `make test-shuffled`.

The order is that of the seed in the variable SHUFFLE; every process of a run has the same.
"""

from __future__ import annotations

import os
import random

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    random.Random(int(os.environ["SHUFFLE"])).shuffle(items)

"""The budget of the gate: a TOML file that says how far a new engine may be from an old one."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

from fiqa_runtime.errors import DependencyError, InputError
from fiqa_runtime.system.documents import read_text

BUDGETS = {
    "srcc": (-1.0, 1.0),
    "flips": (0.0, 1.0),
    "max_abs": (0.0, math.inf),
    "latency_ratio": (0.0, math.inf),
    "bytes_ratio": (0.0, math.inf),
}
"""The keys and the range of their values. :mod:`fiqa_benchmarks.gate.gate` says what they mean."""
AT_LEAST = frozenset({"srcc"})
"""Keys whose limit is the smallest allowed value; for the others it is the largest."""


def read_budget(path: Path) -> dict[str, float]:
    """Limits by key of :data:`BUDGETS`, in the order of the file.

    Raises InputError where the file is missing, is not TOML, is empty, or holds another key or value; DependencyError
    on Python 3.10 without tomli.
    """
    data = _toml(path)
    if not data:
        raise InputError(f"{path} sets no budget; give at least one of {', '.join(BUDGETS)}")
    for key, value in data.items():
        if key not in BUDGETS:
            raise InputError(f"{path} has the key '{key}'; a budget has {', '.join(BUDGETS)}")
        low, high = BUDGETS[key]
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise InputError(f"{path} sets {key} to {value!r}; give a number from {low:g} to {high:g}")
    return {key: float(value) for key, value in data.items()}


def _toml(path: Path) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ImportError as error:
            raise DependencyError("budgets on Python 3.10 need tomli; pip install 'fiqa-edge[bench]'") from error
    try:
        data: dict[str, Any] = tomllib.loads(read_text(path))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; name a TOML file as in srcc = 0.99") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not TOML ({error}); write lines as srcc = 0.99") from error
    return data

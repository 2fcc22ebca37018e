"""What users import: each package's `__all__` is complete, sorted and documented; everything else may move."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from importlib.metadata import version

import fiqa_runtime
import pytest
from fiqa_runtime import errors

PACKAGES = (
    *("fiqa_runtime", "fiqa_runtime.live", "fiqa_runtime.rows", "fiqa_calibration", "fiqa_export", "fiqa_benchmarks"),
    "fiqa_evaluation",
)


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_sorted(package: str) -> None:
    """Constants first, then classes, then functions, as ruff sorts it."""
    names = importlib.import_module(package).__all__
    assert len(set(names)) == len(names)
    kinds = {name: (not name.isupper(), not name[0].isupper(), name) for name in names}
    assert names == sorted(names, key=kinds.__getitem__)


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_complete(package: str) -> None:
    """Whatever the package imports for its users is named, and what it names is there."""
    module = importlib.import_module(package)
    found = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and not inspect.ismodule(value) and inspect.getmodule(value) is not None
    }
    helpers = {"annotations", "import_module", "TYPE_CHECKING"}
    assert found - helpers <= set(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_public_says_what_it_is(package: str) -> None:
    module = importlib.import_module(package)
    values = {name: getattr(module, name) for name in module.__all__}
    undocumented = [name for name, value in values.items() if callable(value) and not inspect.getdoc(value)]
    assert not undocumented
    assert module.__doc__


def test_every_error_is_public() -> None:
    raised = {name for name, value in vars(errors).items() if inspect.isclass(value)}
    assert raised <= set(fiqa_runtime.__all__)
    assert all(name in str(errors.__doc__) for name in raised)


def test_the_version_is_the_distributions() -> None:
    assert fiqa_runtime.__version__ == version("fiqa-edge")


def test_import_fiqa_export_loads_no_torch() -> None:
    code = "import sys, fiqa_export; print('torch' in sys.modules or 'onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'fiqa_export' has no attribute 'exprot'"):
        importlib.import_module("fiqa_export").exprot  # noqa: B018

"""The function of a user that builds his network: found in an installed package, or in a file beside the TOML file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from fiqa_runtime.errors import InputError
from torch import nn


def build_module(place: str, folder: Path) -> nn.Module:
    """What the function at `place` returns, ``package.module:function`` or ``file.py:function`` in `folder`.

    Running it runs the user's code. The working folder is never searched, and modules beside a file of his come after
    everything that is installed. Raises InputError where module or function is missing, fails, or returns no module.
    """
    where, _, name = place.partition(":")
    module = _from_file(folder / where) if where.endswith(".py") else _from_package(where)
    function: Callable[[], Any] | None = getattr(module, name, None)
    if not callable(function):
        raise InputError(f"{where} has no function {name}; correct the reference, which is '{place}'")
    try:
        network = function()
    except Exception as error:  # whatever the user's code raises
        raise InputError(f"{place} failed ({type(error).__name__}: {_first_line(error)}); correct it") from error
    if not isinstance(network, nn.Module):
        raise InputError(f"{place} returned {type(network).__name__} and not a torch.nn.Module; return the network")
    return network


def _from_package(name: str) -> ModuleType:
    with _searching([folder for folder in sys.path if folder and Path(folder) != Path.cwd()]):
        try:
            return importlib.import_module(name)
        except ImportError as error:
            raise InputError(f"cannot import {name} ({_first_line(error)}); install the package that has it") from error
        except Exception as error:
            raise InputError(f"importing {name} failed ({type(error).__name__}: {_first_line(error)})") from error


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise InputError(f"there is no {path}; the file has to lie beside the network file")
    name = f"fiqa_own_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with _searching([*(folder for folder in sys.path if folder), str(path.parent)]):
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise InputError(
                f"running {path} failed ({type(error).__name__}: {_first_line(error)}); correct it"
            ) from error
    return module


@contextmanager
def _searching(folders: list[str]) -> Iterator[None]:
    before = sys.path[:]
    sys.path[:] = folders
    try:
        yield
    finally:
        sys.path[:] = before


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]

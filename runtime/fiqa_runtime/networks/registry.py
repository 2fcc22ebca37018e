"""Every network that can be named: those of this project, a user's TOML file, and what installed packages bring.

A package joins by an entry point of the group ``fiqa_edge.networks``. Its name is the network's; what it loads is the
path of a TOML file, or a function that returns one.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from os import PathLike
from pathlib import Path

from fiqa_runtime.artefact.spec import ModelSpec
from fiqa_runtime.artefact.zoo import MODELS, find_model
from fiqa_runtime.errors import InputError
from fiqa_runtime.networks.network_file import read_network, spec_of

GROUP = "fiqa_edge.networks"


def network_file_of(name: str) -> Path | None:
    """The TOML file of the network called `name`, or at the path `name`; None for a network of this project.

    Raises InputError where an installed package names no such file.
    """
    if name.endswith(".toml"):
        return Path(name)
    entry = _installed().get(name)
    return None if entry is None else _loaded(entry)


def find_network(name: str) -> ModelSpec:
    """The spec of a network by name, alias or TOML file; InputError for an unknown name suggests the nearest one."""
    if name in MODELS:
        return MODELS[name]
    file = network_file_of(name)
    return find_model(name) if file is None else spec_of(read_network(file))


def installed_networks() -> tuple[dict[str, ModelSpec], dict[str, str]]:
    """Specs of the networks that packages bring, by name, and why others cannot be used, by name."""
    specs, problems = {}, {}
    for name, entry in _installed().items():
        try:
            spec = spec_of(read_network(_loaded(entry)))
            if spec.name != name:
                raise InputError(f"its entry point is called {name} and its network file {spec.name}; make them equal")
            specs[name] = spec
        except InputError as error:
            problems[name] = str(error)
    return specs, problems


def _installed() -> Mapping[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP)) if entry.name not in MODELS}


def _loaded(entry: EntryPoint) -> Path:
    """The TOML file of an entry point. Loading it runs code of the package that brings it."""
    try:
        found = entry.load()
        found = found() if callable(found) else found
    except Exception as error:  # whatever the package raises
        raise InputError(
            f"the network {entry.name} of an installed package fails ({error}); update the package"
        ) from error
    if not isinstance(found, str | PathLike):
        raise InputError(f"the entry point {entry.value} gives no path of a network file; correct the package")
    return Path(found)

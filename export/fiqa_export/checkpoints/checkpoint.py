"""Loads published checkpoints or seeded weights into reference networks: safely, strictly, and never one for the other.

model, info = load_reference("ediffiqa-t")                        # the authors' file, fetched if need be
model, info = load_reference("ediffiqa-t", "standin")             # comes with this project; ranks degradation
model, info = load_reference("ediffiqa-t", "seeded")              # tests the toolchain; means nothing
model, info = load_reference("dsl-fiqa", "folder/with/DE+IQA")    # your own
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from fiqa_runtime.artefact.facts import Kind, Weights
from fiqa_runtime.artefact.spec import Checkpoint, ModelSpec
from fiqa_runtime.artefact.weight_files import locate
from fiqa_runtime.artefact.zoo import find_model
from fiqa_runtime.errors import CheckpointError, DependencyError, FetchError, InputError
from fiqa_runtime.system.download import Progress
from fiqa_runtime.system.files import sha256_of
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from fiqa_export.checkpoints.entries import canonicalise
from fiqa_export.checkpoints.reading import read_state_dict
from fiqa_export.checkpoints.seeded import load_seeded
from fiqa_export.models import Reference, build

_OWNERS = {
    "official": "the authors' weights",
    "unverified": "named like the authors' file, not verified",
    "standin": "stand-in weights of this project, no published model and not for production",
    "file": "weights of your own",
}
_Source = tuple[Checkpoint, Path]


@dataclass(frozen=True)
class Source:
    """A network that is not of the zoo."""

    spec: ModelSpec
    build: Callable[[], Reference]
    """Makes the reference with untrained parameters."""


def load_reference(
    name: str | Source, weights: str | None = None, progress: Progress | None = None
) -> tuple[Reference, Weights]:
    """The reference network `name` with its weights, in eval mode, float32, on the CPU.

    `weights` is the name of a weight set of the zoo (None: the first one), `seeded` or `seeded:N`, or a path:
    a checkpoint file, or a folder that holds the files of the network under their base names. Trained
    parameters stay mapped from their file, so even the largest network needs its weights in memory only once.
    The network's spec has the licence and the notes of its weights.

    Raises InputError for an unknown network, weight set or seed; FetchError where weights are not on this machine and
    cannot be downloaded; CheckpointError where a file is damaged, would run code or does not fit.
    """
    spec, make = _opened(name)
    if weights is not None and weights.split(":")[0] == "seeded":
        seed = _seed(weights)
        text = f"seeded weights, seed {seed}: they test the toolchain, scores mean nothing about faces"
        return load_seeded(make(), seed), Weights("seeded", text, seed=seed)
    if weights is None or weights in spec.weights:
        sources = _official(spec, weights, progress)
        kind: Kind = "standin" if weights == "standin" else "file" if spec.family == "own" else _official_kind(sources)
    else:
        kind, sources = "file", _given(spec, weights)
    with _unallocated_parameters():
        model = make()
    state, notes = model.state_dict(), []
    for checkpoint, path in sources:
        try:
            entries, remarks = canonicalise(read_state_dict(path, checkpoint), state, checkpoint)
        except (CheckpointError, DependencyError) as error:
            raise type(error)(f"{path} cannot be used for {spec.name}: {error}") from error
        state.update(entries)
        notes += [f"{path.name}: {remark}" for remark in remarks]
    model.load_state_dict(state, strict=True, assign=True)
    model.spec = _spec_with(spec, sources[0][0])
    return model, _describe(kind, sources, notes)


def _opened(name: str | Source) -> tuple[ModelSpec, Callable[[], Reference]]:
    if isinstance(name, Source):
        return name.spec, name.build
    spec = find_model(name)
    return spec, partial(build, spec.name)


def _seed(weights: str) -> int:
    match = re.fullmatch(r"seeded(?::(\d+))?", weights)
    if match is None:
        raise InputError(f"'{weights}' names no seed; write seeded or seeded:N with a whole number N, as in seeded:1")
    return int(match[1] or 0)


def _official(spec: ModelSpec, weights: str | None, progress: Progress | None) -> list[_Source]:
    files = spec.weights[weights] if weights else next(iter(spec.weights.values()))
    try:
        return [(checkpoint, locate(checkpoint, progress=progress)) for checkpoint in files]
    except FetchError as error:
        other = "standin" if "standin" in spec.weights and weights != "standin" else "seeded"
        raise FetchError(f"{error}; to try the toolchain without it: --weights {other}") from error


def _official_kind(sources: list[_Source]) -> Kind:
    """Whether files are the authors' by their hashes, which :func:`locate` has compared, or by their names alone."""
    return "official" if all(checkpoint.sha256 for checkpoint, _ in sources) else "unverified"


def _given(spec: ModelSpec, weights: str) -> list[_Source]:
    try:
        path = Path(weights).expanduser()
    except RuntimeError as error:
        raise InputError(f"'{weights}' names the home of an unknown user; write the whole path") from error
    files = next(iter(spec.weights.values()))
    names = [Path(checkpoint.file).name for checkpoint in files]
    if path.is_dir():
        lacking = [name for name in names if not (path / name).is_file()]
        if lacking:
            raise CheckpointError(f"{path} lacks {' and '.join(lacking)}; put the file there or name another folder")
        return [(checkpoint, path / name) for checkpoint, name in zip(files, names, strict=True)]
    if not path.is_file():
        known = ", ".join([*spec.weights, "seeded", "seeded:N"])
        raise InputError(
            f"'{weights}' is neither a file nor a weight set of {spec.name}; name a file or one of {known}"
        )
    if len(files) > 1:
        raise InputError(f"{spec.name} needs {' and '.join(names)}; name the folder that holds them, not one file")
    return [(files[0], path)]


def _spec_with(spec: ModelSpec, checkpoint: Checkpoint) -> ModelSpec:
    """`spec` with the licence and notes of the weights of `checkpoint`."""
    notes = spec.notes if checkpoint.notes is None else checkpoint.notes
    return replace(spec, licence=checkpoint.licence or spec.licence, notes=notes)


def _describe(kind: Kind, sources: list[_Source], notes: list[str]) -> Weights:
    files, lines = {}, []
    for checkpoint, path in sources:
        name = path.name if kind == "file" else checkpoint.file
        files[name] = sha256_of(path)
        known = kind in ("official", "unverified") and checkpoint.sha256 is not None
        lines.append(f"{name}, SHA-256 {files[name]}{' as published' if known else ''}")
    return Weights(kind, f"{_OWNERS[kind]}: {'; '.join(lines)}", files, notes=tuple(notes))


@contextmanager
def _unallocated_parameters() -> Iterator[None]:
    """Networks that are built inside have real buffers, but parameters without memory and initial values."""

    def without_memory(module: nn.Module, name: str, parameter: nn.Parameter) -> nn.Parameter:
        return nn.Parameter(parameter.to("meta"), parameter.requires_grad)

    # torch documents that the hook may return a new parameter; its type does not say so
    hook = register_module_parameter_registration_hook(without_memory)  # type: ignore[arg-type]
    try:
        yield
    finally:
        hook.remove()

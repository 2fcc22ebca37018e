"""Loads published checkpoints or seeded weights into reference networks: safely, strictly, and never one for the other.

model, info = load_reference("ediffiqa-t")                        # the authors' file, fetched if need be
model, info = load_reference("ediffiqa-t", "standin")             # comes with this project; ranks degradation
model, info = load_reference("ediffiqa-t", "seeded")              # tests the toolchain; means nothing
model, info = load_reference("dsl-fiqa", "folder/with/DE+IQA")    # your own
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import torch
from fiqa_runtime.artefact.facts import Kind, Weights
from fiqa_runtime.artefact.spec import Checkpoint, ModelSpec
from fiqa_runtime.artefact.weight_files import locate
from fiqa_runtime.artefact.zoo import find_model
from fiqa_runtime.errors import CheckpointError, FetchError, InputError
from fiqa_runtime.system.download import Progress
from fiqa_runtime.system.files import sha256_of
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from fiqa_export.checkpoints.seeded import load_seeded
from fiqa_export.models import Reference, build

_SHOWN = 3
_OWNERS = {
    "official": "the authors' weights",
    "standin": "stand-in weights of this project, no published model and not for production",
    "file": "weights of your own",
}
_Source = tuple[Checkpoint, Path]


def load_reference(
    name: str, weights: str | None = None, progress: Progress | None = None
) -> tuple[Reference, Weights]:
    """The reference network `name` with its weights, in eval mode, float32, on the CPU.

    `weights` is the name of a weight set of the zoo (None: the first one), `seeded` or `seeded:N`, or a path:
    a checkpoint file, or a folder that holds the files of the network under their base names. Trained
    parameters stay mapped from their file, so even the largest network needs its weights in memory only once.
    The network's spec has the licence and the notes of its weights.

    Raises InputError for an unknown network, weight set or seed; FetchError where weights are not on this machine and
    cannot be downloaded; CheckpointError where a file is damaged, would run code or does not fit.
    """
    spec = find_model(name)
    if weights is not None and weights.split(":")[0] == "seeded":
        seed = _seed(weights)
        text = f"seeded weights, seed {seed}: they test the toolchain, scores mean nothing about faces"
        return load_seeded(build(spec.name), seed), Weights("seeded", text, seed=seed)
    if weights is None or weights in spec.weights:
        kind: Kind = "standin" if weights == "standin" else "official"
        sources = _official(spec, weights, progress)
    else:
        kind, sources = "file", _given(spec, weights)
    with _unallocated_parameters():
        model = build(spec.name)
    state, notes = model.state_dict(), []
    for checkpoint, path in sources:
        try:
            entries, remarks = canonicalise(_read(path, checkpoint), state, checkpoint)
        except CheckpointError as error:
            raise CheckpointError(f"{path} cannot be used for {spec.name}: {error}") from error
        state.update(entries)
        notes += [f"{path.name}: {remark}" for remark in remarks]
    model.load_state_dict(state, strict=True, assign=True)
    model.spec = _spec_with(spec, sources[0][0])
    return model, _describe(kind, sources, notes)


def canonicalise(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], checkpoint: Checkpoint
) -> tuple[dict[str, Tensor], list[str]]:
    """Turn the entries of one published file into entries of our network; also returns remarks on what was changed.

    `expected` is the state dict of our network. A ``module.`` prefix that all names have is removed. Entries that
    ``checkpoint.may_have`` names are dropped. For missing entries that ``checkpoint.may_miss`` names the network keeps
    its own buffers, and parameters, which are without effect, become zero. Every value gets our dtype, and every name
    the prefix ``checkpoint.prefix``.

    Raises CheckpointError where names or shapes differ beyond that, or a value is not finite.
    """
    remarks: list[str] = []
    if found and all(name.startswith("module.") for name in found):
        found = {name.removeprefix("module."): tensor for name, tensor in found.items()}
        remarks.append("prefix 'module.' removed from every name")
    prefix = checkpoint.prefix
    wanted = {name[len(prefix) :]: tensor for name, tensor in expected.items() if name.startswith(prefix)}
    absent = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted]
    problems = {
        "missing": _unmatched(absent, checkpoint.may_miss),
        "unexpected": _unmatched(extra, checkpoint.may_have),
        "misshapen": [
            f"{name} {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in found and found[name].shape != tensor.shape
        ],
    }
    if any(problems.values()):
        lists = "; ".join(f"{len(names)} {problem}: {_first(names)}" for problem, names in problems.items() if names)
        raise CheckpointError(f"{lists}; take the checkpoint from {checkpoint.page}")
    if absent:
        remarks.append(f"{len(absent)} entries absent, recomputed or without effect: {_first(absent)}")
    if extra:
        remarks.append(f"{len(extra)} entries dropped, without effect: {_first(extra)}")
    converted = {str(found[n].dtype)[6:] for n, t in wanted.items() if n in found and found[n].dtype != t.dtype}
    if converted:
        remarks.append(f"converted from {', '.join(sorted(converted))}")
    entries = {prefix + name: _value(name, found.get(name), own) for name, own in wanted.items()}
    return entries, remarks


def _value(name: str, found: Tensor | None, own: Tensor) -> Tensor:
    if found is None:
        return torch.zeros_like(own, device="cpu") if own.is_meta else own
    value = found.detach().to(own.dtype).contiguous()
    if value.is_floating_point() and not torch.isfinite(value).all():
        raise CheckpointError(f"{name} holds values that are not finite; use an undamaged checkpoint")
    return value


def _read(path: Path, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The state dict in a file: under ``checkpoint.key``, or bare."""
    content = _load(path)
    if checkpoint.key is not None and isinstance(content, Mapping) and checkpoint.key in content:
        content = content[checkpoint.key]
    if isinstance(content, Mapping) and all(isinstance(tensor, Tensor) for tensor in content.values()):
        return {str(name): tensor for name, tensor in content.items()}
    holds = _first([str(name) for name in content]) if isinstance(content, Mapping) else type(content).__name__
    place = f"under '{checkpoint.key}' or at the top" if checkpoint.key else "at the top"
    raise CheckpointError(f"it has no state dict {place} but {holds}; save model.state_dict() with torch.save")


def _load(path: Path) -> object:
    """The content of a file, read without running any code; tensors stay mapped from the file where its format allows
    that."""
    try:
        with warnings.catch_warnings():  # torch warns about pickle protocols of files that are refused anyway
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except OSError as error:
        raise CheckpointError(f"{error.strerror or error}; make it readable") from error
    except Exception as error:  # UnpicklingError, and whatever else reading a damaged file raises
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise CheckpointError("it does not fit into the free memory; close other programs") from error
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code is None:
            raise CheckpointError("it is damaged or not a PyTorch checkpoint; get the file again") from error
        raise CheckpointError(
            f"loading it would run code ({code[1]}); if you trust its author, save only its tensors: "
            "torch.save(model.state_dict(), FILE)"
        ) from error


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
        known = kind == "official" and checkpoint.sha256 is not None
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


def _unmatched(names: Iterable[str], patterns: tuple[str, ...]) -> list[str]:
    return [name for name in names if not any(fnmatchcase(name, pattern) for pattern in patterns)]


def _first(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")

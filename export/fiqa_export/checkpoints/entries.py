"""Entries of a published file -> entries of our network: strictly, and with a remark on everything that is changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import torch
from fiqa_runtime.artefact.spec import Checkpoint
from fiqa_runtime.errors import CheckpointError
from torch import Tensor

from fiqa_export.checkpoints.reading import first

WRAPPERS = {"module.": ("n_averaged",), "_orig_mod.": ()}
"""Prefixes that tools put before every name (DataParallel and AveragedModel, torch.compile), with the entries of the
tools' own."""
COUNTERS = "*.num_batches_tracked"
"""Counters of batch norms. They have no effect in a trained network, and PyTorch's strict loading takes files without
them too."""


def canonicalise(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], checkpoint: Checkpoint
) -> tuple[dict[str, Tensor], list[str]]:
    """Turn the entries of one published file into entries of our network; also returns remarks on what was changed.

    `expected` is the state dict of our network. A prefix of :data:`WRAPPERS` that all names have is removed. Entries
    that ``checkpoint.may_have`` names are dropped. For missing entries that ``checkpoint.may_miss`` names, and for
    missing :data:`COUNTERS`, the network keeps its own buffers, and parameters, which are without effect, become zero.
    Every value gets our dtype, and every name the prefix ``checkpoint.prefix``.

    Raises CheckpointError where names or shapes differ beyond that, or a value is not finite or not a plain tensor.
    """
    found, remarks = _unwrapped(found)
    prefix = checkpoint.prefix
    wanted = {name[len(prefix) :]: tensor for name, tensor in expected.items() if name.startswith(prefix)}
    absent = [name for name in wanted if name not in found]
    extra = [name for name in found if name not in wanted]
    problems = {
        "missing": _unmatched(absent, (*checkpoint.may_miss, COUNTERS)),
        "unexpected": _unmatched(extra, checkpoint.may_have),
        "misshapen": [
            f"{name} {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in found and found[name].shape != tensor.shape
        ],
    }
    if any(problems.values()):
        lists = "; ".join(f"{len(names)} {problem}: {first(names)}" for problem, names in problems.items() if names)
        raise CheckpointError(f"{lists}; take the checkpoint from {checkpoint.page}")
    if absent:
        remarks.append(f"{len(absent)} entries absent, recomputed or without effect: {first(absent)}")
    if extra:
        remarks.append(f"{len(extra)} entries dropped, without effect: {first(extra)}")
    converted = {str(found[n].dtype)[6:] for n, t in wanted.items() if n in found and found[n].dtype != t.dtype}
    if converted:
        remarks.append(f"converted from {', '.join(sorted(converted))}")
    entries = {prefix + name: _value(name, found.get(name), own) for name, own in wanted.items()}
    return entries, remarks


def _unwrapped(found: Mapping[str, Tensor]) -> tuple[Mapping[str, Tensor], list[str]]:
    """`found` without the prefixes of tools that wrap a network, which may stand behind one another."""
    remarks: list[str] = []
    for _ in range(len(WRAPPERS)):
        for prefix, own in WRAPPERS.items():
            names = [name for name in found if name not in own]
            if names and all(name.startswith(prefix) for name in names):
                found = {name.removeprefix(prefix): found[name] for name in names}
                remarks.append(f"prefix '{prefix}' removed from every name")
    return found, remarks


def _value(name: str, found: Tensor | None, own: Tensor) -> Tensor:
    if found is None:
        return torch.zeros_like(own, device="cpu") if own.is_meta else own
    kinds = {
        "sparse": found.layout != torch.strided,
        "quantised": found.is_quantized,
        "complex": found.is_complex(),
        "without values": found.is_meta,
    }
    odd = [kind for kind, is_so in kinds.items() if is_so]
    if odd:
        raise CheckpointError(f"{name} is {odd[0]}; save the network's plain tensors with torch.save")
    value = found.detach().to(own.dtype).contiguous()
    if value.is_floating_point() and not torch.isfinite(value).all():
        raise CheckpointError(f"{name} holds values that are not finite; use an undamaged checkpoint")
    return value


def _unmatched(names: Iterable[str], patterns: tuple[str, ...]) -> list[str]:
    return [name for name in names if not any(fnmatchcase(name, pattern) for pattern in patterns)]

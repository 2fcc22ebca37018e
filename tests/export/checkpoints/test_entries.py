"""Entries as tools wrap them, and tensors that are not plain ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fiqa_export.checkpoints.checkpoint import load_reference

from tests.help.samples.checkpoints import State, T, message


@pytest.mark.parametrize(
    ("prefix", "more"),
    [
        ("_orig_mod.", {}),
        ("module._orig_mod.", {}),
        ("_orig_mod.module.", {}),
        ("module.", {"n_averaged": torch.tensor(3)}),
    ],
)
def test_wrappers_of_tools_are_taken_off(prefix: str, more: State, state: State, path: Path) -> None:
    """torch.compile, DataParallel, both, and an average of weights."""
    torch.save({**more, **{f"{prefix}{key}": tensor for key, tensor in state.items()}}, path)
    model, info = load_reference(T, str(path))
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert "removed from every name" in info.notes[0]


def test_counters_of_batch_norms_may_be_missing_as_in_torch(state: State, path: Path) -> None:
    counters = [name for name in state if name.endswith(".num_batches_tracked")]
    assert counters
    torch.save({name: tensor for name, tensor in state.items() if name not in counters}, path)
    model, info = load_reference(T, str(path))
    assert f"{len(counters)} entries absent" in info.notes[0]
    for name, tensor in model.state_dict().items():
        assert name in counters or torch.equal(tensor, state[name])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda tensor: tensor.to_sparse(), "is sparse; save the network's plain tensors"),
        (lambda tensor: tensor.to(torch.complex64), "is complex"),
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "is quantised"),
    ],
)
def test_tensors_that_are_not_plain_are_refused(
    change: Callable[[torch.Tensor], torch.Tensor], says: str, state: State, path: Path
) -> None:
    name = next(name for name, tensor in state.items() if tensor.ndim == 4)
    torch.save({**state, name: change(state[name])}, path)
    text = message(path)
    assert f"{name} {says}" in text or "loading it would run code" in text
    assert "\n" not in text

"""Damaged and hostile checkpoints: loaded safely, or one line; nothing in them is executed."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from fiqa_export.checkpoints.checkpoint import load_reference
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save

from tests.fuzz.damage import cases, damaged, edits, is_done_or_one_line
from tests.help.samples.checkpoints import T, seeded_state


class Hostile:
    """Pickled code: it would leave a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture(scope="module")
def samples() -> dict[str, bytes]:
    state = {name: tensor.contiguous() for name, tensor in seeded_state().items()}
    stream, old = io.BytesIO(), io.BytesIO()
    torch.save(state, stream)
    torch.save({"state_dict": state}, old, _use_new_zipfile_serialization=False)
    return {"x.pth": stream.getvalue(), "old.pth": old.getvalue(), "x.safetensors": save(state)}


@given(case=st.data())
@cases("checkpoints")
def test_damaged_checkpoints(tmp_path: Path, samples: dict[str, bytes], case: st.DataObject) -> None:
    name, data = case.draw(damaged(samples))
    path = tmp_path / name
    path.write_bytes(data)
    is_done_or_one_line(lambda: load_reference(T, str(path)))


@given(changes=st.lists(edits(), max_size=2), kind=st.sampled_from(["bare", "zip", "old"]))
@cases("checkpoints")
def test_code_in_checkpoints_does_not_run(tmp_path: Path, planted: Path, changes: list[Any], kind: str) -> None:
    stream = io.BytesIO()
    if kind == "bare":
        pickle.dump({"a": Hostile(planted)}, stream)
    else:
        torch.save({"a": Hostile(planted)}, stream, _use_new_zipfile_serialization=kind == "zip")
    data = stream.getvalue()
    for change in changes:
        data = change(data)
    path = tmp_path / "x.pth"
    path.write_bytes(data)
    assert is_done_or_one_line(lambda: load_reference(T, str(path))) is None
    assert not planted.exists()

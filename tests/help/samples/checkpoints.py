"""What tests of loading share: the state dict of eDifFIQA(T), and the line that a refusal consists of."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from fiqa_export.checkpoints.checkpoint import load_reference
from fiqa_export.checkpoints.seeded import load_seeded
from fiqa_export.models import build
from fiqa_runtime.errors import CheckpointError
from torch import Tensor

State = dict[str, Tensor]
T = "ediffiqa-t"


@cache
def seeded_state() -> State:
    """In the authors' layout."""
    return load_seeded(build(T)).state_dict()


def message(path: Path) -> str:
    """What loading `path` is refused with: one line that names the file."""
    with pytest.raises(CheckpointError) as caught:
        load_reference(T, str(path))
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path} cannot be used for {T}: ")
    return text

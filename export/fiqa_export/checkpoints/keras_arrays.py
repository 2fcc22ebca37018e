"""MTCNN's weights as the Python package ``mtcnn`` brings them: lists of arrays in Keras' layout, in LZ4 files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fiqa_runtime.artefact.spec import Checkpoint
from fiqa_runtime.errors import CheckpointError, DependencyError
from numpy.typing import NDArray
from torch import Tensor

MAGIC = b"\x04\x22\x4d\x18"
"""How an LZ4 frame begins."""
CONVOLUTIONS = {13: 3, 16: 3, 21: 4}
"""Convolutions of a network with a PReLU behind each, by the number of its arrays: P, R and O."""
HEADS = {
    13: ("conv4_2", "conv4_1"),
    16: ("dense5_2", "dense5_1"),
    21: ("dense6_2", "dense6_3", "dense6_1"),
}
"""The layers that give results, in the order of the file: box, landmarks, class."""


def read_arrays(path: Path, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The state dict in the joblib file `path`, under facenet-pytorch's names.

    Reading such a file runs the code that it names, so only a file with the SHA-256 of `checkpoint` is read. Raises
    CheckpointError for any other one, DependencyError where joblib or lz4 are not installed.
    """
    content = path.read_bytes()
    if checkpoint.sha256 is None or hashlib.sha256(content).hexdigest() != checkpoint.sha256:
        raise CheckpointError(
            "it is a joblib file, which runs code when it is read, and not the published one (SHA-256 differs); "
            "take it from the package mtcnn 1.0.0"
        )
    try:
        import joblib
        import lz4.frame  # noqa: F401  # joblib needs it, and names it in an error of many lines
    except ImportError as error:
        raise DependencyError("reading it needs joblib and lz4; pip install 'fiqa-edge[mtcnn]'") from error
    return state_dict(joblib.load(BytesIO(content)))


def state_dict(arrays: Sequence[NDArray[np.float32]]) -> dict[str, Tensor]:
    """Keras' arrays of one network (13, 16 or 21 of them) -> its state dict.

    Convolutions are (H, W, in, out) there and (out, in, H, W) here, dense layers (in, out) and (out, in).
    """
    heads = HEADS[len(arrays)]
    convolutions = CONVOLUTIONS[len(arrays)]
    dense = [] if len(arrays) == 13 else [f"dense{convolutions + 1}"]
    names: list[str] = []
    for index, layer in enumerate([*(f"conv{i + 1}" for i in range(convolutions)), *dense], 1):
        names += [f"{layer}.weight", f"{layer}.bias", f"prelu{index}.weight"]
    for head in heads:
        names += [f"{head}.weight", f"{head}.bias"]
    return {name: _tensor(name, array) for name, array in zip(names, arrays, strict=True)}


def _tensor(name: str, array: Any) -> Tensor:
    values = np.asarray(array, np.float32)
    if values.ndim == 4:
        values = values.transpose(3, 2, 0, 1)
    elif name.startswith("prelu"):
        values = values.reshape(-1)
    elif values.ndim == 2:
        values = values.T
    return torch.from_numpy(np.ascontiguousarray(values))

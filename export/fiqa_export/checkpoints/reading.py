"""The state dict in a checkpoint file, read without running any code; what is not a checkpoint is called what it is."""

from __future__ import annotations

import re
import tarfile
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from fiqa_runtime.artefact.spec import Checkpoint
from fiqa_runtime.errors import CheckpointError, DependencyError
from torch import Tensor

from fiqa_export.checkpoints.keras_arrays import MAGIC, read_arrays

SHOWN = 3
"""Names of a long list that a message shows."""
HEAD = 512
"""Bytes at the beginning of a file that say what it is."""
SAFETENSORS = re.compile(rb".{8}\{", re.DOTALL)
"""How a safetensors file begins: the length of its JSON header, then the header."""
OTHER_FILES = {
    rb"version https://git-lfs": "it is a Git LFS pointer and not the file itself; fetch the file with git lfs pull",
    rb"\s*<(?i:!doctype html|html)": "it is a web page and not the file; download the file that the page links to",
    rb"\x1f\x8b": "it is an archive; unpack it and name the file in it",
    rb"7z\xbc\xaf|Rar!|BZh|\xfd7zXZ": "it is an archive; unpack it and name the file in it",
    rb"\x89HDF": "it is an HDF5 file, as Keras writes it; save a PyTorch state dict",
}
"""What files that are not checkpoints begin with, and what to say of them."""
DAMAGED = "it is damaged or not a PyTorch checkpoint; get the file again"


def read_state_dict(path: Path, checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The tensors of the checkpoint file `path` by name: those under ``checkpoint.key``, or at the top.

    Files of ``torch.save``, safetensors files and the published joblib files of MTCNN are read; tensors stay mapped
    from the file where its format allows that. Raises CheckpointError where the file cannot be read, is something else
    or would run code, DependencyError where reading it needs a package that is not installed.
    """
    content = _load(path, checkpoint)
    if checkpoint.key is not None and isinstance(content, Mapping) and checkpoint.key in content:
        content = content[checkpoint.key]
    if isinstance(content, Mapping) and all(isinstance(tensor, Tensor) for tensor in content.values()):
        return {str(name): tensor for name, tensor in content.items()}
    holds = first([str(name) for name in content]) if isinstance(content, Mapping) else type(content).__name__
    place = f"under '{checkpoint.key}' or at the top" if checkpoint.key else "at the top"
    raise CheckpointError(f"it has no state dict {place} but {holds}; save model.state_dict() with torch.save")


def first(names: Iterable[str]) -> str:
    """The first of `names`, for a message."""
    names = list(names)
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _load(path: Path, checkpoint: Checkpoint) -> object:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        if SAFETENSORS.match(head):
            return _safetensors(path)
        if head.startswith(MAGIC):
            return read_arrays(path, checkpoint)
        with warnings.catch_warnings():  # torch warns about pickle protocols of files that are refused anyway
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except OSError as error:
        raise CheckpointError(f"{error.strerror or error}; make it readable") from error
    except (CheckpointError, DependencyError):
        raise
    except Exception as error:  # UnpicklingError, and whatever else reading a damaged file raises
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise CheckpointError("it does not fit into the free memory; close other programs") from error
        raise CheckpointError(_other_file(path, head) or _code(error) or DAMAGED) from error


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise DependencyError("it is a safetensors file; pip install safetensors to read it") from error
    return load_file(path)


def _code(error: Exception) -> str | None:
    code = re.search(r"GLOBAL (\S+)", str(error))
    if code is None:
        return None
    return (
        f"loading it would run code ({code[1]}); if you trust its author, save only its tensors: "
        "torch.save(model.state_dict(), FILE)"
    )


def _other_file(path: Path, head: bytes) -> str | None:
    """What the file `path`, which torch does not read, is instead; None where nothing tells."""
    for start, words in OTHER_FILES.items():
        if re.match(start, head):
            return words
    if zipfile.is_zipfile(path):
        names = _names_in(path)
        if names is None:
            return None
        if "constants.pkl" in names:
            return "it is a TorchScript file; load it with torch.jit.load and save its state_dict() with torch.save"
        if "data.pkl" not in names:
            return f"it is an archive of {first(names) or 'nothing'}; unpack it and name the file in it"
    elif tarfile.is_tarfile(path):
        return "it is an archive; unpack it and name the file in it"
    return None


def _names_in(archive: Path) -> list[str] | None:
    """Names of the files in a zip archive; None where it is damaged, which zipfile tells by a dozen classes."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return [Path(name).name for name in opened.namelist()]
    except Exception:
        return None

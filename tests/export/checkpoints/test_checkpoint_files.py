"""Files that are not checkpoints, are damaged or would run code are refused in one line, and nothing of them runs."""

from __future__ import annotations

import gzip
import os
import pickle
import re
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from fiqa_export.checkpoints.checkpoint import load_reference
from fiqa_runtime.errors import DependencyError
from fiqa_runtime.system.files import sha256_of

from tests.help.samples.checkpoints import State, T, message


class Malice:
    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.trace}'",)


@pytest.mark.parametrize("new_format", [True, False])
def test_pickle_that_would_run_code_is_refused(new_format: bool, state: State, path: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    torch.save({**state, "extra": Malice(trace)}, path, _use_new_zipfile_serialization=new_format)
    text = message(path)
    assert not trace.exists()
    assert "loading it would run code (posix.system)" in text
    assert "save only its tensors: torch.save(model.state_dict(), FILE)" in text
    torch.load(path, weights_only=False)
    assert trace.exists(), "the file is as dangerous as the test says"


def test_an_archive_without_its_directory_is_damaged(state: State, path: Path) -> None:
    torch.save(state, path)
    path.write_bytes(path.read_bytes().replace(b"PK\x01\x02", b"PK\x01\x03"))
    assert zipfile.is_zipfile(path)
    assert "damaged or not a PyTorch checkpoint" in message(path)


def test_plain_pickle_that_would_run_code_is_refused(
    path: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    trace = tmp_path / "trace"
    path.write_bytes(pickle.dumps({"extra": Malice(trace)}))
    assert "damaged or not a PyTorch checkpoint" in message(path)
    assert not trace.exists()
    assert not recwarn.list, "one line, without what torch thinks of the pickle protocol"


def test_whole_module_is_refused(path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), path)
    assert "would run code (torch.nn.modules.linear.Linear)" in message(path)


@pytest.mark.parametrize("length", [0, 1, 10, 1000, 3_000_000, -10])
def test_truncated_file(length: int, state: State, path: Path) -> None:
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:length])
    assert "it is damaged or not a PyTorch checkpoint; get the file again" in message(path)


@pytest.mark.parametrize("content", [b"hello, world\n", bytes(range(256)) * 20, b"\x08\x07\x12\x07pytorch"])
def test_file_that_is_no_checkpoint(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    assert "it is damaged or not a PyTorch checkpoint" in message(path)


def test_archive_that_is_no_checkpoint(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    assert "it is an archive of notes.txt; unpack it" in message(path)
    path.write_bytes(b"")
    with tarfile.open(path, "w") as archive_of_tar:
        archive_of_tar.add(__file__, "notes.txt")
    assert "it is an archive; unpack it" in message(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"<!DOCTYPE html><html></html>", "it is a web page and not the file; download the file"),
        (b"\n <html>", "it is a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "it is a Git LFS pointer .* git lfs pull",
        ),
        (gzip.compress(b"weights", mtime=0), "it is an archive; unpack it"),
        (b"\x89HDF\r\n\x1a\n", "it is an HDF5 file, as Keras writes it"),
    ],
)
def test_files_of_another_kind_are_called_what_they_are(content: bytes, says: str, path: Path) -> None:
    path.write_bytes(content)
    assert re.search(says, message(path))


def test_torchscript_is_called_what_it_is(path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(path))
    assert "it is a TorchScript file; load it with torch.jit.load" in message(path)


def test_safetensors_are_read(state: State, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(state, path)
    model, info = load_reference(T, str(path))
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert info.files == {path.name: sha256_of(path)}
    path.write_bytes(path.read_bytes()[:-1])
    assert "it is damaged or not a PyTorch checkpoint" in message(path)
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(DependencyError, match="it is a safetensors file; pip install safetensors"):
        load_reference(T, str(path))


@pytest.mark.parametrize(
    ("content", "holds"), [([1, 2], "list"), (torch.zeros(3), "Tensor"), ({"epoch": 3}, "epoch"), ({}, "287 missing")]
)
def test_checkpoint_of_something_else(content: object, holds: str, path: Path) -> None:
    torch.save(content, path)
    assert holds in message(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_read(state: State, path: Path) -> None:
    torch.save(state, path)
    path.chmod(0)
    assert "Permission denied; make it readable" in message(path)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "it does not fit into the free memory; close other programs"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "it does not fit into the free memory"),
        (OSError("seek past the end"), "seek past the end; make it readable"),
    ],
)
def test_what_is_no_fault_of_the_file(
    error: Exception, says: str, state: State, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    torch.save(state, path)
    monkeypatch.setattr(torch, "load", fail)
    assert says in message(path)

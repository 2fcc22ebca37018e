"""Every reader of files that others wrote: whatever is in them is read or is one line, never a traceback."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fiqa_benchmarks.gate.baseline import read_baseline
from fiqa_benchmarks.gate.budget import read_budget
from fiqa_calibration import Ranges
from fiqa_evaluation.data_set.embedding_files import read_vectors
from fiqa_evaluation.data_set.files import read_embeddings, read_pairs, read_quality
from fiqa_evaluation.data_set.identities import read_persons
from fiqa_evaluation.data_set.set_folder import open_set
from fiqa_evaluation.data_set.templates import read_templates
from fiqa_evaluation.opinions.labels import read_groups, read_labels
from fiqa_evaluation.plan.plan_file import read_plan
from fiqa_evaluation.sources.find_source import Wanted, open_source
from fiqa_evaluation.sources.insightface_bin import open_bin
from fiqa_evaluation.sources.pair_lists import read_named_pairs
from fiqa_runtime.command.batch import read_landmarks
from fiqa_runtime.diagnosis.reference import read_reference
from fiqa_runtime.errors import FiqaError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def _open_set_with(manifest: Path) -> object:
    """A data set whose manifest is this file."""
    (manifest.parent / "image_path_list.txt").write_text(f"{manifest.parent.name}/images/a.jpg\n")
    return open_set(manifest.parent)


READERS: dict[str, Callable[[Path], object]] = {
    "a.npy": read_landmarks,
    "b.npy": lambda path: read_embeddings(path.parent, ["b"]),
    "reference.csv": read_reference,
    "reference.txt": read_reference,
    "label.json": read_labels,
    "label.csv": read_labels,
    "pairs.txt": read_pairs,
    "quality.txt": lambda path: read_quality(path, ["a"]),
    "baseline.json": lambda path: read_baseline(path, "a"),
    "budget.toml": read_budget,
    "ranges.json": lambda path: Ranges.load(path, "0" * 64),
    "templates.txt": read_templates,
    "persons.txt": lambda path: read_persons(path, ["a"]),
    "named_pairs.txt": read_named_pairs,
    "set.bin": open_bin,
    "people.csv": lambda path: open_source(path, Wanted()),
    "plan.toml": read_plan,
    "embeddings.npz": lambda path: read_vectors(path, ["a"]),
    "groups.csv": lambda path: read_groups(path, "tone"),
    "groups.json": lambda path: read_groups(path, "tone"),
    "manifest.json": _open_set_with,
}


def npy(shape: str) -> bytes:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header


def saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def check(name: str, content: bytes, folder: Path) -> None:
    path = folder / name
    path.write_bytes(content)
    try:
        READERS[name](path)
    except FiqaError as error:
        assert error.exit_code == 2
        assert "\n" not in str(error)


DAMAGED: dict[str, bytes] = {
    "nothing": b"",
    "deep JSON": b"[" * 200_000,
    "deep table": b'{"a":' * 200_000,
    "deep TOML": b"a = " + b"[" * 100_000,
    "long number": b"srcc = " + b"1" * 5000,
    "long JSON number": b'{"a": ' + b"1" * 5000 + b"}",
    "long field": b'image,mos\n"' + b"a" * 140_000 + b'",1\n',
    "open quote": b'image,score\n"a,1\n',
    "surrogate": b'{"\\ud800": 1}',
    "zeros": bytes(100),
    "UTF-16 without end": "image,score".encode("utf-16")[:-1],
    "zip header": b"PK\x03\x04" + bytes(40),
    "large shape": npy("(1000000000000,)"),
    "shape of text": npy("'x'"),
    "negative shape": npy("(-1, 2)"),
    "deep header": npy("(" * 2000 + ")" * 2000),
    "objects": b"\x93NUMPY\x01\x00\x3a\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n",
}


@pytest.mark.parametrize("what", DAMAGED)
@pytest.mark.parametrize("name", READERS)
def test_what_others_have_found(name: str, what: str, tmp_path: Path) -> None:
    check(name, DAMAGED[what], tmp_path)


TEXT = {
    "reference.csv": "image,score\na.png,0.5\n",
    "label.csv": "image,mos\na.png,0.5\n",
    "budget.toml": "srcc = 0.99\n",
    "label.json": json.dumps({"a.png": 0.5}),
}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", TEXT)
def test_what_excel_and_powershell_write_is_read(name: str, encoding: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(TEXT[name].encode(encoding))
    assert READERS[name](tmp_path / name) in ({"a.png": 0.5}, {"srcc": 0.99})


@given(name=st.sampled_from(sorted(READERS)), content=st.binary(max_size=200))
@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_of_every_kind(name: str, content: bytes, tmp_path: Path) -> None:
    """Bytes as they come, and a sound file in which some were exchanged."""
    check(name, content, tmp_path)
    sound = saved(np.ones((68, 2), np.float32)) if name.endswith(".npy") else TEXT.get(name, "a b 1\n").encode()
    spoilt = bytearray(sound)
    for place, value in enumerate(content[:8]):
        spoilt[(37 * place + value) % len(spoilt)] = value
    check(name, bytes(spoilt), tmp_path)

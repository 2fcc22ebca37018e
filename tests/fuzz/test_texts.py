"""Damaged tables, lists, documents and arrays: read, or one line."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path

import numpy as np
from hypothesis import given

from tests.fuzz.damage import cases, damaged, is_done_or_one_line
from tests.help.places import EXAMPLES
from tests.test_foreign_files import READERS


def _saved(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _archive(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]  # whose stub takes a flag by the same way
    return stream.getvalue()


SAMPLES: dict[str, bytes] = {
    "a.npy": _saved(np.zeros((68, 2), np.float32)),
    "b.npy": _saved(np.arange(1, 9, dtype=np.float64)),
    "reference.csv": b"image,score\na.png,0.5\nb.png,0.25\n",
    "reference.txt": b"x/a.png 0.5\nx/b.png 0.25\n",
    "label.json": b'[{"Image": "a.png", "MOS": 0.5}, {"Image": "b.png", "MOS": 1}]',
    "label.csv": b"\xef\xbb\xbfimage,mos\na.png,0.5\n",
    "pairs.txt": b"a b 1\na c 0\n",
    "quality.txt": b"x/images/a.jpg 0.5\n",
    "baseline.json": json.dumps({"contenders": [{"name": "a", "scores": {"0": 1.0}, "batches": {}}]}).encode(),
    "budget.toml": b"srcc = 0.99\nflips = 0.02\n",
    "templates.txt": b"a 1 2\nb 1 3\n",
    "persons.txt": b"a p1\n",
    "named_pairs.txt": b"1\t2\na\t1\t2\na\t1\tb\t1\n",
    "set.bin": pickle.dumps(([b"\xff\xd8\xff", b"\xff\xd8\xff"], [True]), 4),
    "people.csv": b"image,person\na.png,p1\n",
    "plan.toml": (EXAMPLES / "plan.toml").read_bytes(),
    "embeddings.npz": _archive(a=np.ones(4, np.float32)),
    "groups.csv": b"image,tone\na.png,dark\n",
    "groups.json": b'[{"Image": "a.png", "tone": "dark"}]',
    "manifest.json": b'{"schema": "fiqa-eval-set.v1", "source": {}, "images": {}}',
    "ranges.json": json.dumps({"model": "0" * 64, "calibration": "1" * 64, "ranges": {"x": [0, 1]}}).encode(),
}


def test_every_reader_has_a_sample() -> None:
    assert SAMPLES.keys() == READERS.keys()


@given(case=damaged(SAMPLES))
@cases("texts")
def test_texts_and_arrays(tmp_path: Path, case: tuple[str, bytes]) -> None:
    name, data = case
    path = tmp_path / name
    path.write_bytes(data)
    is_done_or_one_line(lambda: READERS[name](path))

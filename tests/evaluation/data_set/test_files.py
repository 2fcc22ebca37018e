"""CR-FIQA's files: names and scores as they stand there, and files that are wrong are named with their line."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fiqa_evaluation.data_set.files import read_embeddings, read_pairs, read_quality
from fiqa_runtime.errors import InputError


def test_names_keep_their_order_and_the_last_of_repeated_lines_counts(tmp_path: Path) -> None:
    (tmp_path / "pair_list.txt").write_text("b a 1\n\na c.v2 0\n")
    listed = read_pairs(tmp_path / "pair_list.txt")
    assert listed.names == ("b", "a", "c.v2")
    assert listed.pairs.tolist() == [[0, 1], [1, 2]] and listed.genuine.tolist() == [True, False]
    quality = tmp_path / "M_set.txt"
    quality.write_text(
        "my dir/set/images/a.jpg 0.5\nmy dir/set/images/b.jpg\t1\n"
        "my dir/set/images/c.v2.jpg 2e-1\nmy dir/set/images/a.jpg 0.75\nmy dir/set/images/x/y.jpg 9\n"
    )
    assert read_quality(quality, listed.names).tolist() == [1, 0.75, 0.2]
    assert read_quality(quality, ["x/y"]).tolist() == [9]


def test_a_quality_file_without_an_images_folder_is_matched_by_path(tmp_path: Path) -> None:
    path = tmp_path / "M.txt"
    path.write_text("a.jpg 0.5\nsub.dir/b 0.25\nmyimages/c.jpg 0.75\n/d/e.jpg 1\n")
    assert read_quality(path, ["sub.dir/b", "a", "myimages/c", "/d/e"]).tolist() == [0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize("folder", ["images", "/images", "set/images"])
def test_names_begin_after_the_images_folder(tmp_path: Path, folder: str) -> None:
    path = tmp_path / "M.txt"
    path.write_text(f"{folder}/a.jpg 0.5\n")
    assert read_quality(path, ["a"]).tolist() == [0.5]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a b 1\na b\n", "line 2: write 'name_a name_b 1'"),
        ("a b 2\n", "line 1: write"),
        ("\n \n", "holds no pairs"),
    ],
)
def test_wrong_pair_lists_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "pair_list.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        read_pairs(path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("q/images/a.jpg 0.5\nq/images/b.jpg good\n", "line 2: expected 'path score'"),
        ("q/images/a.jpg nan\n", "line 1: expected 'path score'"),
        ("0.5\n", "line 1: expected 'path score'"),
        ("q/images/a.jpg 0.5\n", r"lacks 1 of 2 images, as 'b' \(it has 'q/images/a.jpg'\)"),
        ("q/images/a.jpg 0.5\nr/images/a.jpg 0.5\n", "2 images fit the name 'a', as q/images/a.jpg and r/images/a.jpg"),
        ("", "lacks 2 of 2 images, as 'a'"),
    ],
)
def test_wrong_quality_files_are_refused(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "M_set.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        read_quality(path, ["a", "b"])
    assert "\n" not in str(caught.value)


def test_a_quality_file_of_utf_16_is_read(tmp_path: Path) -> None:
    path = tmp_path / "M_set.txt"
    path.write_text("q/images/a.jpg 0.5\nq/images/b.jpg 0.25\n", encoding="utf-16")
    assert read_quality(path, ["a", "b"]).tolist() == [0.5, 0.25]


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_pairs(tmp_path / "none.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\x00a b 1")
    with pytest.raises(InputError, match="is not text"):
        read_pairs(tmp_path / "binary.txt")


@pytest.mark.parametrize(
    ("vector", "says"),
    [
        (np.ones(3), "b.npy has 3 numbers, a.npy 4"),
        (np.ones((2, 2)), "does not hold one vector"),
        (np.array([1, 2, math.nan, 4]), "zero or not finite"),
        (np.zeros(4), "zero or not finite"),
        (np.array(["a", "b", "c", "d"]), "does not hold one vector"),
        (np.array([{}], dtype=object), "not a .npy file of numbers"),
        (None, "cannot read"),
        (b"", "not a .npy file of numbers"),
        (b"not numpy", "not a .npy file of numbers"),
    ],
)
def test_wrong_embeddings_are_refused(tmp_path: Path, vector: Any, says: str) -> None:
    np.save(tmp_path / "a.npy", np.ones(4, np.float32))
    if isinstance(vector, bytes):
        (tmp_path / "b.npy").write_bytes(vector)
    elif vector is not None:
        np.save(tmp_path / "b.npy", vector)
    with pytest.raises(InputError, match=says):
        read_embeddings(tmp_path, ["a", "b"])


def test_embeddings_of_several_types_keep_the_finer_one(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.full(4, 0.1, np.float32))
    np.save(tmp_path / "b.npy", np.full((1, 4), 0.1, np.float64))
    np.save(tmp_path / "c.npy", np.arange(4))
    table = read_embeddings(tmp_path, ["a", "b", "c"])
    assert table.dtype == np.float64 and table.shape == (3, 4)
    assert table[1, 0] == 0.1 and table[0, 0] == np.float32(0.1) and table[2].tolist() == [0, 1, 2, 3]

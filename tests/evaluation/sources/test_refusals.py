"""What fiqa-eval prepare refuses: hostile pickles, damaged lists, sets without pairs; each in one line."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fiqa_evaluation.sources.safe_pickle import load_plain
from fiqa_runtime.errors import InputError

from tests.help.commands import Invoke
from tests.help.evaluation.data_sets import bin_content, lfw_list, write_bin, write_ijbc, write_tree


class Hostile:
    """Runs a command where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.mark}",)


class Opener:
    """Opens a file for writing where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return io.open, (str(self.mark), "w")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", [Hostile, Opener])
def test_a_hostile_pickle_runs_nothing(
    evaluate: Invoke, tmp_path: Path, kind: Callable[[Path], object], protocol: int
) -> None:
    mark = tmp_path / "mark"
    source = write_bin(tmp_path / "lfw.bin", ([kind(mark)], [True]), protocol)
    assert evaluate("prepare", source, "--out", tmp_path / "data").is_one_line("lfw.bin is not read", "wants to call")
    assert not mark.exists()
    pickle.loads(source.read_bytes())
    assert mark.exists(), "the sample would have done it"


@pytest.mark.parametrize(
    "content",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\n_reconstruct\n(S'x'\ntR.",
        b"ccopyreg\n_reconstructor\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"cnumpy\ndtype\n(S'O8'\ntR.",
        b"cnumpy\ndtype\n(S'f8,i4'\ntR.",
        b"c_codecs\nencode\n(S'abc'\nS'zip'\ntR.",
        b"Pname\n.",
        b"\x82\x01.",
        b"",
        b"not a pickle",
        b"\x80\x04]" + b"]" * 100,
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
    ],
)
def test_anything_but_plain_values_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.bin (is not read|is damaged)") as caught:
        load_plain(tmp_path / "a.bin")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_are_those_of_pickle(tmp_path: Path, protocol: int) -> None:
    values = ([b"\xff\xd8", b"a"], [True, np.bool_(False), np.int64(7), np.float32(0.5)], (1, 2.5, None, "é"))
    path = write_bin(tmp_path / "a.bin", values, protocol)
    assert load_plain(path) == values


def test_a_pickle_of_python_2_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"(lp0\nS'\\xff\\xd8'\np1\na(lp2\nI01\naI00\na\x86.")
    images, flags = load_plain(tmp_path / "a.bin")
    assert (images, flags) == ([b"\xff\xd8"], [True, False])


BINS: dict[str, tuple[object, list[str]]] = {
    "one part": ([b"a"], ["does not hold a list of images and a list of flags"]),
    "no bytes": ((["a", "b"], [True]), ["its first part is not a list of encoded images"]),
    "odd": (([b"a", b"b", b"c"], [True]), ["3 images need half as many flags"]),
    "flags": (([b"a", b"b"], [2]), ["each true or false"]),
    "nothing": (([], []), ["0 images"]),
    "no picture": (([b"a", b"b"], [True]), ["none of 2 images can be used"]),
}


@pytest.mark.parametrize("case", BINS)
def test_a_damaged_bin(evaluate: Invoke, tmp_path: Path, case: str) -> None:
    content, parts = BINS[case]
    result = evaluate("prepare", write_bin(tmp_path / "x.bin", content), "--out", tmp_path / "data")
    assert result.is_one_line(*parts), result


def test_a_bin_that_is_cut_short(evaluate: Invoke, tmp_path: Path) -> None:
    source = write_bin(tmp_path / "x.bin", bin_content(4, 2))
    source.write_bytes(source.read_bytes()[:-400])
    assert evaluate("prepare", source, "--out", tmp_path / "data").is_one_line("x.bin is not read", "download it again")


def test_a_set_without_impostors(evaluate: Invoke, tmp_path: Path) -> None:
    images, _ = bin_content(4, 2)
    source = write_bin(tmp_path / "x.bin", (images, [True] * (len(images) // 2)))
    assert evaluate("prepare", source, "--out", tmp_path / "data").is_one_line("leaves no impostor pair")


def one_person(folder: Path) -> None:
    write_tree(folder / "mine", persons=1)


def strangers(folder: Path) -> None:
    write_tree(folder / "mine", per_person=1)


def loose(folder: Path) -> None:
    write_tree(folder / "mine")
    (folder / "mine/a.jpg").write_bytes(b"x")


def same_names(folder: Path) -> None:
    write_tree(folder / "mine", persons=2)
    for name in ("a b.jpg", "a_b.jpg"):
        (folder / "mine/person_0" / name).write_bytes(b"x")


def other_list(folder: Path) -> None:
    write_tree(folder / "mine")
    (folder / "mine/xqlfw_pairs.txt").write_text(lfw_list().replace("person", "somebody"))


def wrong_line(folder: Path) -> None:
    write_tree(folder / "mine")
    (folder / "mine/xqlfw_pairs.txt").write_text("10 300\nperson_0 1\n")


def twice(folder: Path) -> None:
    write_tree(folder / "mine")
    write_tree(folder / "mine/again")
    (folder / "mine/xqlfw_pairs.txt").write_text(lfw_list())


def ijbc_without_points(folder: Path) -> None:
    write_ijbc(folder / "mine")
    (folder / "mine/meta/ijbc_name_5pts_score.txt").unlink()


def ijbc_wrong_points(folder: Path) -> None:
    write_ijbc(folder / "mine")
    (folder / "mine/meta/ijbc_name_5pts_score.txt").write_text("1.jpg 1 2 3\n")


def ijbc_outside(folder: Path) -> None:
    write_ijbc(folder / "mine")
    points = " ".join(["1.0"] * 10)
    (folder / "mine/meta/ijbc_name_5pts_score.txt").write_text(f"../../secret.jpg {points} 1\n")


def empty(folder: Path) -> None:
    (folder / "mine").mkdir()


SETS: dict[Callable[[Path], None], str] = {
    one_person: "all images are of one person",
    strangers: "no person has two images",
    loose: "a.jpg is in no person's folder",
    same_names: "would both be called 'person_0/a_b'",
    other_list: "names none of the images (it has 'somebody_0_0001'",
    wrong_line: "line 2: write 'name_a name_b 1'",
    twice: "would both be called 'person_0_0001'",
    ijbc_without_points: "holds 0 files *_name_5pts_score.txt",
    ijbc_wrong_points: "line 1: write 'file x1 y1",
    ijbc_outside: "line 1: write 'file x1 y1",
    empty: "no images under",
}


@pytest.mark.parametrize("make", SETS, ids=lambda make: make.__name__)
def test_sets_that_give_no_curve(evaluate: Invoke, tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path)
    result = evaluate("prepare", tmp_path / "mine", "--out", tmp_path / "data")
    assert result.is_one_line(SETS[make]), result


OPTIONS: dict[str, tuple[tuple[object, ...], str]] = {
    "share": (("--impostor-share", 0), "the share of impostor pairs is 0"),
    "too large a share": (("--impostor-share", "nan"), "the share of impostor pairs is nan"),
    "preset alone": (("--preset", "cr-fiqa"), "--preset says how photos are cut"),
    "no list": (("--pairs", "none.txt"), "there is no pair list none.txt"),
    "name": (("--name", "a/b"), "cannot be the name of a folder"),
    "align": (("--align", "ransac"), "unknown alignment"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_make_no_sense(evaluate: Invoke, tmp_path: Path, case: str) -> None:
    write_tree(tmp_path / "mine")
    options, part = OPTIONS[case]
    assert evaluate("prepare", tmp_path / "mine", "--out", tmp_path / "data", *options).is_one_line(part)


def test_options_that_a_kind_ignores_are_refused(evaluate: Invoke, tmp_path: Path) -> None:
    source = write_bin(tmp_path / "x.bin", bin_content(4, 2))
    (tmp_path / "p.txt").write_text("a b 1\n")
    result = evaluate("prepare", source, "--out", tmp_path, "--pairs", tmp_path / "p.txt", "--detector", "yunet")
    assert result.is_one_line("a .bin brings its own pairs and crops; leave --pairs and --detector out")

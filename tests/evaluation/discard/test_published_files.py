"""The files of CR-FIQA's own evaluation: names, kinds, shapes and contents, against the goldens and plain loops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.help.commands import Invoke
from tests.help.evaluation.data_sets import rows_of
from tests.help.evaluation.plain_discard import naive_cr_fiqa
from tests.help.evaluation.plain_evaluation import angle, template_quality, template_vector
from tests.help.places import GOLDEN

DISJOINT = GOLDEN / "erc" / "disjoint"
ENDINGS = {"1e-2": ("fnmr2", "0.01"), "1e-3": ("fnmr3", "0.001"), "1e-4": ("fnmr4", "0.0001")}


@pytest.fixture
def embeddings(tmp_path: Path) -> Path:
    vectors = np.load(DISJOINT.with_suffix(".npz"))["embeddings"]
    np.savez(tmp_path / "disjoint_r50.npz", names=[f"{k:05d}" for k in range(len(vectors))], embeddings=vectors)
    return tmp_path / "disjoint_r50.npz"


def test_error_rates_and_areas_are_golden(
    evaluate: Invoke, embeddings: Path, golden: Callable[[str], Any], tmp_path: Path
) -> None:
    methods = ("GOOD", "RANDOM", "PFE")
    arguments = ("discard", DISJOINT / "pair_list.txt", "--embeddings", embeddings, "--protocol", "cr-fiqa")
    scores = ("--scores", *(DISJOINT / f"{method}_disjoint.txt" for method in methods))
    out = tmp_path / "output"
    for _ in range(2):  # what an earlier run wrote is replaced
        result = evaluate(*arguments, *scores, "--as-published", out)
        assert result.code == 0, result.err
    assert f"wrote {out / 'disjoint'}" in result.err
    expected = golden("erc/disjoint")["results"]["cosine"]
    names = {f"fnmr/{method}_r50_disjoint_{ending}.npy" for method in methods for ending, _ in ENDINGS.values()}
    names |= {f"{rate}_auc.txt" for _, rate in ENDINGS.values()}
    assert {str(file.relative_to(out / "disjoint")) for file in out.rglob("*.*")} == names
    for fmr, (ending, rate) in ENDINGS.items():
        lines = [line.split(":") for line in (out / f"disjoint/{rate}_auc.txt").read_text().splitlines()]
        assert [line[:3] for line in lines] == [["disjoint", "r50", method] for method in methods]
        for method, line in zip(methods, lines, strict=True):
            wanted = expected[method][f"fmr_{fmr}"]
            found = np.load(out / f"disjoint/fnmr/{method}_r50_disjoint_{ending}.npy", allow_pickle=False)
            assert (found.dtype, found.shape) == (np.float64, (20,))
            np.testing.assert_allclose(found, wanted["fnmr"], rtol=0, atol=1e-12)
            assert float(line[3]) == pytest.approx(wanted["auc"], abs=1e-12)


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A folder as IJB-C is prepared: eight persons with two templates each, three images per template."""
    data = tmp_path / "IJBC"
    data.mkdir()
    generator = np.random.default_rng(5)
    images = [f"{k}" for k in range(48)]
    lines = [(image, f"t{k // 3}", f"m{k // 3}{k % 3 // 2}") for k, image in enumerate(images)]
    (data / "image_path_list.txt").write_text("".join(f"IJBC/images/{image}.jpg\n" for image in images))
    (data / "templates.txt").write_text("".join(f"{' '.join(line)}\n" for line in lines))
    pairs = [(a, b, int(a // 2 == b // 2)) for a in range(16) for b in range(a + 1, 16)]
    (data / "pair_list.txt").write_text("".join(f"t{a} t{b} {same}\n" for a, b, same in pairs))
    for method in ("Q", "PFE"):
        scores = generator.permutation(48) / 7
        (data / f"{method}_IJBC.txt").write_text(
            "".join(
                f"{data}/images/{image}.jpg {float(score)!r}\n" for image, score in zip(images, scores, strict=True)
            )
        )
    centres = generator.standard_normal((8, 12))
    vectors = np.array([centres[k // 6] for k in range(48)]) + 1.2 * generator.standard_normal((48, 12))
    np.savez(tmp_path / "IJBC_net.npz", names=images, embeddings=vectors)
    return data


def test_templates_are_as_good_as_their_worst_image_also_where_lower_is_better(
    evaluate: Invoke, templates: Path, tmp_path: Path
) -> None:
    """Of images CR-FIQA takes the smaller number of a pair whatever the direction is, of templates the worse one."""
    vectors = tmp_path / "IJBC_net.npz"
    arguments = ("discard", templates, "--embeddings", vectors, "--protocol", "cr-fiqa")
    result = evaluate(*arguments, "--as-published", tmp_path / "output")
    assert result.code == 0, result.err
    archive = np.load(vectors)
    by_name = dict(zip(archive["names"].tolist(), archive["embeddings"], strict=True))
    lines: Any = [tuple(row) for row in rows_of(templates / "templates.txt")]
    names = [f"t{k}" for k in range(16)]
    embedded = {name: template_vector(lines, name, by_name) for name in names}
    rows = rows_of(templates / "pair_list.txt")
    pairs = [(names.index(a), names.index(b), k == "1", angle(embedded[a], embedded[b])) for a, b, k in rows]
    for method, sign in (("Q", 1), ("PFE", -1)):
        scores = {
            Path(path).stem: sign * float(value) for path, value in rows_of(templates / f"{method}_IJBC.txt")
        }  # turned where lower is better, so that the worst image is the smallest
        quality = [template_quality(lines, name, scores) for name in names]
        listed = rows_of(tmp_path / f"output/{method}_IJBC.txt")
        assert [row[:3] for row in listed] == rows
        worse = [sign * min(quality[a], quality[b]) for a, b, *_ in pairs]
        assert [float(row[3]) for row in listed] == worse
        places = list(range(len(pairs)))[::sign]  # the whole order is reversed there, and equal pairs with it
        expected = naive_cr_fiqa([pairs[place] for place in places], quality, 0.01, False)
        found = np.load(tmp_path / f"output/IJBC/fnmr/{method}_net_IJBC_fnmr2.npy")
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
        assert len(set(expected)) > 4, "a flat curve tests little"


@pytest.mark.parametrize("case", ["protocol", "two of a name", "no folder"])
def test_bad_input(evaluate: Invoke, embeddings: Path, tmp_path: Path, case: str) -> None:
    good = DISJOINT / "GOOD_disjoint.txt"
    (tmp_path / good.name).write_text(good.read_text("utf-8"))
    (tmp_path / "file").write_text("x")
    theirs = ("--protocol", "cr-fiqa", "--as-published")
    cases: dict[str, tuple[tuple[object, ...], str]] = {
        "protocol": (("--as-published", tmp_path / "o"), "add --protocol cr-fiqa"),
        "two of a name": ((tmp_path / good.name, *theirs, tmp_path / "o"), "another method is called the same"),
        "no folder": ((*theirs, tmp_path / "file"), "file"),
    }
    options, part = cases[case]
    arguments = ("discard", DISJOINT / "pair_list.txt", "--embeddings", embeddings, "--scores", good)
    assert evaluate(*arguments, *options).is_one_line(part)

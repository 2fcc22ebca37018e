"""fiqa-eval distributions: every figure against plain loops, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fiqa_evaluation.distributions.compare import BINS, compare
from fiqa_runtime.errors import InputError
from scipy.stats import ks_2samp

from tests.help.commands import Invoke
from tests.help.evaluation.data_sets import bin_content, write_bin
from tests.help.evaluation.plain_evaluation import naive_distance, naive_overlap, naive_superiority

RNG = np.random.default_rng(5)


def sets() -> dict[str, np.ndarray]:
    return {"clear": RNG.normal(0.7, 0.1, 90), "blurred": RNG.normal(0.5, 0.15, 60).round(2), "few": RNG.random(9)}


def test_every_figure_equals_plain_loops() -> None:
    values = sets()
    found = compare("m", values)
    assert [(c.first, c.second) for c in found.contrasts] == [
        ("clear", "blurred"),
        ("clear", "few"),
        ("blurred", "few"),
    ]
    for contrast in found.contrasts:
        one, other = values[contrast.first].tolist(), values[contrast.second].tolist()
        assert contrast.distance == pytest.approx(naive_distance(one, other), abs=1e-12)
        assert contrast.superiority == pytest.approx(naive_superiority(one, other), abs=1e-12)
        assert contrast.overlap == pytest.approx(naive_overlap(one, other, BINS), abs=1e-12)
        assert contrast.p == pytest.approx(ks_2samp(one, other).pvalue)
    for name, spread in found.sets.items():
        ordered = sorted(values[name].tolist())
        assert spread.images == len(ordered)
        assert spread.mean == pytest.approx(sum(ordered) / len(ordered))
        assert spread.deviation == pytest.approx(np.std(ordered, ddof=1))
        half = (len(ordered) - 1) / 2
        middle = (ordered[int(np.floor(half))] + ordered[int(np.ceil(half))]) / 2
        assert spread.quantiles[0.5] == pytest.approx(middle)
    assert all(sum(shares) == pytest.approx(1) for shares in found.shares.values())
    assert found.notes == ("few: fewer than 30 images, an overlap means little",)


def test_equal_sets_overlap_whole_and_apart_ones_not_at_all() -> None:
    values = RNG.random(50)
    (same,) = compare("m", {"a": values, "b": values}).contrasts
    assert [same.distance, same.superiority, same.overlap] == pytest.approx([0, 0.5, 1])
    (apart,) = compare("m", {"a": values, "b": values + 5}).contrasts
    assert (apart.distance, apart.superiority, apart.overlap) == (1, 0, 0)
    (constant,) = compare("m", {"a": np.ones(4), "b": np.ones(4)}).contrasts
    assert constant.superiority == 0.5


def test_an_empty_set_is_refused() -> None:
    with pytest.raises(InputError, match="has no score of m"):
        compare("m", {"a": np.ones(3), "b": np.ones(0)})


@pytest.fixture
def folders(evaluate: Invoke, tmp_path: Path) -> list[Path]:
    found = []
    for name, persons in (("one", 4), ("two", 6)):
        source = write_bin(tmp_path / f"{name}.bin", bin_content(persons, 2))
        assert evaluate("prepare", source, "--out", tmp_path).code == 0
        folder = tmp_path / name
        count = len(list((folder / "images").iterdir()))
        for method, shift in (("good", persons), ("other", 0)):
            lines = (f"{folder}/images/{k:05d}.jpg {shift + k / 100}\n" for k in range(count))
            (folder / f"{method}_{name}.txt").write_text("".join(lines))
        found.append(folder)
    return found


def test_the_command_compares_what_the_sets_share(evaluate: Invoke, folders: list[Path], tmp_path: Path) -> None:
    (folders[0] / "alone_one.txt").write_text("")
    figure, page = tmp_path / "f.svg", tmp_path / "p.html"
    result = evaluate("distributions", *folders, "--json", "-", "--figure", figure, "--html", page)
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert [each["method"] for each in document["distributions"]] == ["good", "other"]
    assert document["distributions"][0]["contrasts"][0]["superiority"] == 0
    assert "an image of two is better than one of one with a probability of 1.00" in page.read_text()
    assert figure.read_text().count("quality") == 2
    shown = evaluate("distributions", *folders, "--method", "good")
    assert "one against two: Kolmogorov-Smirnov 1.0000" in shown.out and "other" not in shown.out


def test_bad_input(evaluate: Invoke, folders: list[Path], tmp_path: Path) -> None:
    for folder in folders:
        for file in folder.glob("other_*.txt"):
            file.unlink()
    (folders[0] / "good_one.txt").unlink()
    assert evaluate("distributions", *folders).is_one_line("the sets share no method")
    assert evaluate("distributions", *folders, "--method", "good").is_one_line("cannot read", "good_one.txt")
    assert evaluate("distributions", folders[0], folders[0]).is_one_line("two sets are called one")
    assert evaluate("distributions", tmp_path).is_one_line("is not a prepared data set")

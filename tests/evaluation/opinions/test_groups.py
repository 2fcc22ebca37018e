"""Opinions by groups of a column, their tables for papers, quality files in place of engines, and ranges."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from fiqa_evaluation.opinions.labels import read_groups
from fiqa_runtime.errors import InputError
from fiqa_runtime.images.seeded import seeded_image
from scipy.stats import kendalltau, pearsonr, spearmanr

from tests.help.commands import Invoke

COUNT = 30
RNG = np.random.default_rng(21)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Labels in CGFIQA-40k's form, with a tone for each image, and two quality files."""
    for place in range(COUNT):
        cv2.imwrite(str(tmp_path / f"{place:02}.png"), seeded_image(place, 20, 20))
    mos = RNG.random(COUNT).round(3)
    rows = [{"Image": f"{k:02}.png", "MOS": float(mos[k]), "Tone": f"tone_{k % 3}"} for k in range(COUNT)]
    (tmp_path / "label.json").write_text(json.dumps(rows))
    for name, noise in (("good", 0.1), ("worse", 0.6)):
        scores = mos + RNG.normal(0, noise, COUNT)
        (tmp_path / f"{name}.txt").write_text("".join(f"x/{k:02}.png {s}\n" for k, s in enumerate(scores)))
    return tmp_path


def numbers(path: Path) -> np.ndarray:
    return np.array([float(line.split()[1]) for line in path.read_text().splitlines()])


def test_groups_and_tables_are_those_of_scipy(evaluate: Invoke, folder: Path) -> None:
    files = ("--scores", folder / "good.txt", "--scores", folder / "worse.txt", "--by", "tone")
    where = (
        "--json",
        folder / "o.json",
        "--csv",
        folder / "o.csv",
        "--latex",
        folder / "o.tex",
        "--html",
        folder / "o.html",
    )
    result = evaluate("opinions", folder, *files, *where)
    assert result.code == 0, result.err
    found = json.loads((folder / "o.json").read_text())["mos"]
    mos = np.array([row["MOS"] for row in json.loads((folder / "label.json").read_text())])
    table = list(csv.DictReader((folder / "o.csv").open()))
    for engine in ("good", "worse"):
        scores = numbers(folder / f"{engine}.txt")
        for group, part in (("all", slice(None)), *((f"tone_{k}", slice(k, None, 3)) for k in range(3))):
            expected = {
                "srcc": spearmanr(scores[part], mos[part]).statistic,
                "krcc": kendalltau(scores[part], mos[part]).statistic,
                "plcc": pearsonr(scores[part], mos[part]).statistic,
                "rmse": np.sqrt(np.mean((scores[part] - mos[part]) ** 2)),
            }
            inner = found if group == "all" else found["groups"][group]
            for key, value in expected.items():
                assert inner["engines"][engine][key]["value"] == pytest.approx(value, abs=1e-9)
                (row,) = [r for r in table if (r["group"], r["engine"], r["statistic"]) == (group, engine, key)]
                assert float(row["value"]) == pytest.approx(value, abs=1e-6)
                assert float(row["low"]) <= float(row["high"]) and int(row["images"]) == len(mos[part])
    latex = (folder / "o.tex").read_text()
    assert latex.startswith("\\begin{tabular}{lrrrr}") and latex.count("\\midrule") == 4
    assert "tone tone\\_1 (10 images)" in latex
    first = found["engines"]["good"]
    assert f"good & {first['plcc']['value']:.4f} & {first['srcc']['value']:.4f}" in latex
    page = (folder / "o.html").read_text()
    assert "Good follows people's opinions best of 2" in page.replace("&#39;", "'") and "lowest for tone" in page
    assert 'id="plot-mos0-1"' in page and "images, tone tone_2" in " ".join(result.out.split())


def test_a_group_that_is_too_small_is_told(evaluate: Invoke, folder: Path) -> None:
    lines = [f"{k:02}.png,{'few' if k < 3 else 'many'}" for k in range(COUNT - 4)]
    (folder / "groups.csv").write_text("\n".join(["image,who", *lines]))
    arguments = ("opinions", folder, "--scores", folder / "good.txt", "--by", "who", "--groups", folder / "groups.csv")
    result = evaluate(*arguments, "--json", "-")
    found = json.loads(result.out)["mos"]
    assert list(found["groups"]) == ["many"] and found["groups"]["many"]["images"] == COUNT - 7
    assert "who few: 3 images of too few opinion scores, not compared" in found["notes"]
    assert "4 images are in no group" in found["notes"]


def test_names_with_special_letters_are_safe_in_latex(evaluate: Invoke, folder: Path) -> None:
    (folder / "a&b_100%.txt").write_text((folder / "good.txt").read_text())
    assert evaluate("opinions", folder, "--scores", folder / "a&b_100%.txt", "--latex", folder / "o.tex").code == 0
    assert "a\\&b\\_100\\% &" in (folder / "o.tex").read_text()


BAD: dict[str, tuple[tuple[object, ...], str]] = {
    "range": (("--range", "0.5,1"), "opinion scores are outside 0.5 to 1, as"),
    "no range": (("--range", "1"), "--range '1' is not a range"),
    "column": (("--by", "gender"), "has no column 'gender' for '00.png' (it has tone)"),
    "groups alone": (("--groups", "g.csv"), "--groups is a part of --by"),
    "no groups": (("--by", "who", "--groups", "none.csv"), "cannot read none.csv"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(evaluate: Invoke, folder: Path, case: str) -> None:
    options, part = BAD[case]
    assert evaluate("opinions", folder, "--scores", folder / "good.txt", *options).is_one_line(part)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image,tone\na.png,1\na.png,2\n", "is both '1' and '2'"),
        ("picture,tone\na.png,1\n", "a line without image"),
        ("image,tone\na.png\n", "is not a table"),
    ],
)
def test_group_files_that_cannot_be_used(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "g.csv").write_text(text)
    with pytest.raises(InputError, match=says):
        read_groups(tmp_path / "g.csv", "tone")

"""fiqa-eval discard: golden areas from the files as they are, notes said, wrong files named in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fiqa_runtime.images.reading import read_image

from tests.help.commands import Invoke
from tests.help.evaluation.data_sets import write_ijbc, write_recogniser
from tests.help.evaluation.plain_discard import FRACTIONS, naive_cr_fiqa, naive_edc
from tests.help.evaluation.plain_evaluation import (
    angle,
    at,
    naive_error,
    naive_threshold,
    step_area,
    template_quality,
    template_vector,
)
from tests.help.places import GOLDEN

DISJOINT = GOLDEN / "erc" / "disjoint"
PAIRS = DISJOINT / "pair_list.txt"
FMRS = ("1e-2", "1e-3", "1e-4")


@pytest.fixture(scope="module")
def embeddings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disjoint_model")
    for index, vector in enumerate(np.load(DISJOINT.with_suffix(".npz"))["embeddings"]):
        np.save(folder / f"{index:05d}.npy", vector)
    return folder


def scores(*methods: str) -> list[Path]:
    return [DISJOINT / f"{method}_disjoint.txt" for method in methods]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_cr_fiqa_is_golden(evaluate: Invoke, embeddings: Path, golden: Callable[[str], Any], metric: str) -> None:
    files = scores("GOOD", "RANDOM", "PFE")
    options = ("--protocol", "cr-fiqa", "--metric", metric, "--json", "-")
    result = evaluate("discard", PAIRS, "--embeddings", embeddings, "--scores", *files, *options)
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["comparisons"]["genuine"] == document["comparisons"]["impostor"] == 600
    expected = golden("erc/disjoint")["results"][metric]
    seen = [(curve["name"], curve["fmr"]) for curve in document["edc"]]
    assert seen == [(method, float(fmr)) for method in ("GOOD", "RANDOM", "PFE") for fmr in FMRS]
    for curve, (method, fmr) in zip(document["edc"], [(m, f) for m, _ in seen[::3] for f in FMRS], strict=True):
        wanted = expected[method][f"fmr_{fmr}"]
        assert curve["auc"] == pytest.approx(wanted["auc"], abs=1e-12)
        np.testing.assert_allclose(curve["fnmr"], wanted["fnmr"], rtol=0, atol=1e-12)
        assert curve["lower_is_better"] is (method == "PFE")
        assert set(curve["pauc"]) == {"0.2", "0.3"}


@pytest.mark.parametrize("protocol", ["cr-fiqa", "edc"])
def test_a_held_out_set_equals_plain_loops(evaluate: Invoke, tmp_path: Path, protocol: str) -> None:
    """Another set than the goldens: tied qualities, images in many pairs, vectors of any length, files as they are."""
    generator = np.random.default_rng(20260)
    identity = np.arange(48) % 12
    centre = generator.standard_normal((12, 16))
    quality = generator.integers(1, 9, 48) / 8
    spread = 0.9 * (1.3 - quality + generator.normal(0, 0.1, 48))[:, None]
    vectors = 7 * (centre[identity] + spread * generator.standard_normal((48, 16)))
    a, b = np.triu_indices(48, 1)
    same = identity[a] == identity[b]
    (tmp_path / "emb").mkdir()
    for index, vector in enumerate(vectors):
        np.save(tmp_path / f"emb/i{index}.npy", vector)
    rows = zip(a.tolist(), b.tolist(), same.tolist(), strict=True)
    (tmp_path / "pair_list.txt").write_text("".join(f"i{i} i{j} {int(k)}\n" for i, j, k in rows))
    (tmp_path / "Q.txt").write_text("".join(f"set/images/i{i}.jpg {q}\n" for i, q in enumerate(quality)))
    arguments = (
        "discard",
        tmp_path / "pair_list.txt",
        "--embeddings",
        tmp_path / "emb",
        "--scores",
        tmp_path / "Q.txt",
    )
    result = evaluate(*arguments, "--protocol", protocol, "--json", "-")
    assert result.code == 0, result.err
    cosine = [u @ v / math.sqrt((u @ u) * (v @ v)) for u, v in zip(vectors[a], vectors[b], strict=True)]
    pairs = list(zip(a.tolist(), b.tolist(), same.tolist(), [math.acos(c) / math.pi for c in cosine], strict=True))
    for curve in json.loads(result.out)["edc"]:
        if protocol == "cr-fiqa":
            expected = naive_cr_fiqa(pairs, quality.tolist(), curve["fmr"], False)
        else:
            points = naive_edc(pairs, quality.tolist(), curve["fmr"], False)
            expected = [[y for x, y in points if x <= share][-1] for share in FRACTIONS]
        np.testing.assert_allclose(curve["fnmr"], expected, rtol=0, atol=1e-12)
        assert len(set(expected)) > 4, "a flat curve tests little"


def test_tables_and_notes_for_people(evaluate: Invoke, embeddings: Path) -> None:
    result = evaluate("discard", PAIRS, "--embeddings", embeddings, "--scores", *scores("GOOD", "PFE"))
    assert result.code == 0, result.err
    assert [f"FNMR at FMR {fmr} after" in result.out for fmr in ("0.01", "0.001", "0.0001")] == [True] * 3
    assert "Protocol edc, cosine distance, 600 genuine and 600 impostor pairs of 2400 images" in result.out
    assert "FMR 0.01: fewer than ten pairs at this FMR" in result.out
    assert "PFE: lower scores are taken for better" in result.out
    assert "GOOD: lower" not in result.out


def test_direction_is_the_files_or_the_users(evaluate: Invoke, embeddings: Path, tmp_path: Path) -> None:
    (good,) = scores("GOOD")
    turned = tmp_path / "TURNED_disjoint.txt"
    lines = (line.rsplit(" ", 1) for line in good.read_text(encoding="utf-8").splitlines())
    turned.write_text("".join(f"{path} {-float(score)}\n" for path, score in lines))

    def areas(file: Path, *options: str) -> list[float]:
        arguments = ("discard", PAIRS, "--embeddings", embeddings, "--scores", file, "--json", "-", *options)
        return [curve["auc"] for curve in json.loads(evaluate(*arguments).out)["edc"]]

    assert areas(turned, "--lower-is-better") == areas(good)
    assert areas(turned) != areas(good)


@pytest.mark.parametrize(
    ("protocol", "says"),
    [("edc", "every genuine pair has the same quality"), ("cr-fiqa", "the curve follows the order of the list")],
)
def test_constant_scores_are_said(evaluate: Invoke, embeddings: Path, tmp_path: Path, protocol: str, says: str) -> None:
    file = tmp_path / "FLAT.txt"
    file.write_text("".join(f"{index:05d}.jpg 0.5\n" for index in range(2400)))
    options = ("--protocol", protocol)
    result = evaluate("discard", PAIRS, "--embeddings", embeddings, "--scores", file, *options)
    assert result.code == 0
    assert says in result.out
    (good,) = scores("GOOD")
    assert says not in evaluate("discard", PAIRS, "--embeddings", embeddings, "--scores", good, *options).out


def test_equal_names_are_told_apart(evaluate: Invoke, embeddings: Path, tmp_path: Path) -> None:
    (good,) = scores("GOOD")
    other = tmp_path / good.name
    other.write_text(good.read_text(encoding="utf-8"))
    options = ("--embeddings", embeddings, "--json", "-")
    document = json.loads(evaluate("discard", PAIRS, *options, "--scores", good, other, good).out)
    assert [curve["name"] for curve in document["edc"]] == [str(good)] * 3 + [str(other)] * 3


BAD: dict[str, tuple[list[str], list[str]]] = {
    "no embeddings": (["discard", "p.txt", "--scores", "q.txt"], ["missing option", "--embeddings"]),
    "no scores": (["discard", "p.txt", "--embeddings", "e"], ["there are no scores", "--scores", "fiqa-eval score"]),
    "missing pairs": (["discard", "no.txt", "--embeddings", "e", "--scores", "q.txt"], ["cannot read no.txt"]),
    "missing scores": (["discard", "p.txt", "--embeddings", "e", "--scores", "no.txt"], ["cannot read no.txt"]),
    "missing folder": (
        ["discard", "p.txt", "--embeddings", "no", "--scores", "q.txt"],
        ["no folder no;", "--embeddings"],
    ),
    "protocol": (
        ["discard", "p.txt", "--embeddings", "e", "--protocol", "iso"],
        ["unknown protocol 'iso'", "edc or cr-fiqa"],
    ),
    "metric": (
        ["discard", "p.txt", "--embeddings", "e", "--scores", "q.txt", "--metric", "l1"],
        ["unknown metric 'l1'", "cosine or euclidean"],
    ),
    "mixed length": (["discard", "p.txt", "--embeddings", "mixed", "--scores", "q.txt"], ["b.npy has 3 numbers", "4"]),
    "NaN embedding": (["discard", "p.txt", "--embeddings", "nan", "--scores", "q.txt"], ["b.npy", "not finite"]),
    "NaN score": (["discard", "p.txt", "--embeddings", "e", "--scores", "nan.txt"], ["nan.txt, line 2"]),
    "artefact for scores": (
        ["discard", "p.txt", "--embeddings", "e", "--scores", "q.txt", "b.onnx"],
        ["b.onnx is not a score file", "fiqa-eval score"],
    ),
    "no genuine pair": (["discard", "i.txt", "--embeddings", "e", "--scores", "q.txt"], ["no genuine pair"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(evaluate: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.txt").write_text("a b 1\na c 0\n")
    Path("i.txt").write_text("a b 0\na c 0\n")
    Path("q.txt").write_text("a.jpg 1\nb.jpg 2\nc.jpg 3\n")
    Path("nan.txt").write_text("a.jpg 1\nb.jpg nan\nc.jpg 3\n")
    second = {"e": np.arange(4.0), "mixed": np.ones(3), "nan": np.full(4, np.nan)}
    for name, vector in second.items():
        Path(name).mkdir()
        for image, values in (("a", np.ones(4)), ("b", vector), ("c", np.arange(4.0) + 1)):
            np.save(Path(name, f"{image}.npy"), values)
    arguments, parts = BAD[case]
    result = evaluate(*arguments)
    assert result.is_one_line(*parts), result


@pytest.fixture
def templates(evaluate: Invoke, tmp_path: Path) -> tuple[Path, Path, Path]:
    """IJB-C as it is prepared, embedded by a seeded network, and a quality file; the set, embeddings, scores."""
    write_ijbc(tmp_path / "IJBC", 12)
    assert evaluate("prepare", tmp_path / "IJBC", "--out", tmp_path / "d").code == 0
    network = write_recogniser(tmp_path / "net.onnx")
    options = ("--preset", "arcface", "--backend", "onnxruntime", "--out", tmp_path / "e.npz")
    assert evaluate("embed", tmp_path / "d/IJBC", "--recogniser", network, *options).code == 0
    data = tmp_path / "d/IJBC"
    names = [path.stem for path in sorted((data / "images").iterdir())]
    (data / "M_IJBC.txt").write_text("".join(f"{data}/images/{n}.jpg {int(n) * 37 % 11}\n" for n in names))
    return data, tmp_path / "e.npz", data / "M_IJBC.txt"


def test_a_prepared_folder_brings_its_templates_and_scores(
    evaluate: Invoke, templates: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    data, vectors, _ = templates
    page, figure = tmp_path / "p.html", tmp_path / "f.png"
    options = ("--fmr", "0.05", "--fnmr", "0.3", "--limits", "0.1,0.6", "--also", "fmr,det", "--bootstrap", 20)
    where = ("--json", tmp_path / "d.json", "--html", page, "--figure", figure)
    result = evaluate("discard", data, "--embeddings", vectors, *options, *where)
    assert result.code == 0, result.err
    assert "24 templates of 72 images" in result.out and "95 % intervals from 20 draws of 12 persons" in result.out
    document = json.loads((tmp_path / "d.json").read_text())
    lines = [tuple(line.split()) for line in (data / "templates.txt").read_text().splitlines()]
    archive = np.load(vectors)
    by_name = dict(zip(archive["names"].tolist(), archive["embeddings"], strict=True))
    rows = [line.split() for line in (data / "pair_list.txt").read_text().splitlines()]
    names = list(dict.fromkeys(name for row in rows for name in row[:2]))
    worth = {image: float(int(image) * 37 % 11) for image in by_name}
    quality = [template_quality(lines, name, worth) for name in names]  # type: ignore[arg-type]
    embedded = {name: template_vector(lines, name, by_name) for name in names}  # type: ignore[arg-type]
    pairs = [(names.index(a), names.index(b), k == "1", angle(embedded[a], embedded[b])) for a, b, k in rows]
    for row, (by, rate) in zip(document["edc"], (("fmr", 0.05), ("fnmr", 0.3)), strict=True):
        threshold = naive_threshold(pairs, by, rate)
        points = naive_error(pairs, quality, "genuine", threshold)
        assert row["fnmr"] == pytest.approx([at(points, share) for share in FRACTIONS], abs=1e-9)
        assert row["pauc"] == {limit: pytest.approx(step_area(points, float(limit))) for limit in ("0.1", "0.6")}
        assert len(row["low"]) == len(row["high"]) == 20
    for name in ("edc0-0", "edc0-1", "fmr0-0", "det0-0"):
        assert f'id="plot-{name}"' in page.read_text()
    assert read_image(figure).shape[1] > 2 * read_image(figure).shape[0], "two panels side by side"


def test_two_methods_are_compared_over_the_same_draws(evaluate: Invoke, embeddings: Path) -> None:
    arguments = ("discard", PAIRS, "--embeddings", embeddings, "--scores", *scores("GOOD", "RANDOM"))
    result = evaluate(*arguments, "--bootstrap", 200, "--json", "-")
    assert result.code == 0, result.err
    (told,) = [d for d in json.loads(result.out)["differences"] if (d["start"], d["limit"]) == ("FMR 0.01", 0.3)]
    assert told["high"] < 0 and told["verdict"] == "GOOD is better than RANDOM"
    assert "FMR 0.01, pAUC 0.3: GOOD is better than RANDOM (" in result.err
    other = evaluate(*arguments, "--bootstrap", 50, "--protocol", "cr-fiqa", "--json", "-")
    assert all(row["low"][0] is not None for row in json.loads(other.out)["edc"])


OPTIONS: dict[str, tuple[tuple[object, ...], str]] = {
    "rate": (("--fmr", "0"), "the starting error is 0"),
    "rates": (("--fmr", "1e-3;1e-4"), "--fmr '1e-3;1e-4' is not a list of numbers"),
    "limit": (("--limits", "2"), "outside 0 to 1"),
    "error": (("--also", "eer"), "unknown error 'eer'"),
    "anew": (("--protocol", "cr-fiqa", "--fnmr", "0.1"), "CR-FIQA's protocol takes its thresholds anew"),
    "seed": (("--seed", 1), "--seed is a part of --bootstrap"),
    "figure": (("--figure", "a.gif"), "the format of a.gif is not known"),
    "no set": (("--templates", "none.txt"), "cannot read none.txt"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_that_make_no_sense(
    evaluate: Invoke, embeddings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.chdir(tmp_path)
    options, part = OPTIONS[case]
    arguments = ("discard", PAIRS, "--embeddings", embeddings, "--scores", *scores("GOOD"))
    assert evaluate(*arguments, *options).is_one_line(part)


def test_a_folder_without_scores(evaluate: Invoke, templates: tuple[Path, Path, Path]) -> None:
    data, vectors, file = templates
    file.unlink()
    assert evaluate("discard", data, "--embeddings", vectors).is_one_line("there are no scores", "fiqa-eval score")
    assert evaluate("discard", data.parent, "--embeddings", vectors).is_one_line("is not a prepared data set")

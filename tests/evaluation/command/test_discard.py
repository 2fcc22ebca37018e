"""fiqa-eval discard: golden areas from the files as they are, notes said, wrong files named in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.help.commands import Invoke
from tests.help.places import GOLDEN
from tests.help.samples.plain_discard import FRACTIONS, naive_cr_fiqa, naive_edc

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
